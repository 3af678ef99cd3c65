"""Peer groups against scikit-learn's k-means: `python -m groups.compare --help`.

Tables of integers are written, the program's own fit is run on them through the bench `unsupervised`,
and scikit-learn on the same rows on the same scale. What comes out is two tables in Markdown: inertia at the
same number of groups, and how often the number of groups that was made is found.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 1.01


def integers(values):
    """Columns in thousandths of their standard deviation, as far as 16 bits reach."""
    spread = values.std(axis=0)
    scaled = 1000 * (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)


class Bench:
    """The fit that is measured, as a command."""

    def __init__(self, command, work):
        self.command, self.file = shlex.split(command), Path(work) / "rows.csv"

    def write(self, table):
        np.savetxt(self.file, table, fmt="%d", delimiter=",")

    def fit(self, k, seed):
        """Inertia, number of groups, the group of each row, the rows on the scale of distances."""
        command = [*self.command, "groups", str(self.file), str(k), str(seed)]
        done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
        first, *rows = done.stdout.splitlines()
        inertia, count = map(int, first.split(","))
        rows = np.array([row.split(",") for row in rows], dtype=np.int64)
        return inertia, count, rows[:, 0], rows[:, 1:]


def spread_of(groups, rows):
    """The inertia of a partition: what `fit` says is held against it."""
    parts = (rows[groups == group] for group in np.unique(groups))
    return sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts)


def blobs(seed, k, width=24, box=3, rows=1000, sizes=None, different=None, wild=0):
    """`k` humps with a standard deviation of 1, in `different` of the columns, and `wild` rows."""
    rng = np.random.default_rng(seed)
    different = different or width
    middles = np.zeros((k, width))
    middles[:, :different] = rng.uniform(-box, box, (k, different))
    share = np.ones(k) if sizes is None else sizes ** np.arange(k)
    of = rng.choice(k, rows, p=share / share.sum())
    values = middles[of] + rng.standard_normal((rows, width))
    at = rng.choice(rows, wild, replace=False)
    values[at] = rng.uniform(-100, 100, (wild, width))
    return values


def bundled():
    """Name, rows and numbers of groups to look for."""
    yield "iris", datasets.load_iris().data, (2, 3, 8)
    yield "wine", datasets.load_wine().data, (2, 3, 8)
    yield "breast cancer", datasets.load_breast_cancer().data, (2, 5, 12)
    yield "digits", datasets.load_digits().data, (5, 10, 12)
    yield "6 blobs", blobs(1, 6), (4, 6, 12)
    yield "6 blobs, each half as great as the one before", blobs(2, 6, sizes=0.5), (4, 6, 12)
    yield "8 blobs in 2 columns", blobs(3, 8, width=2, box=10), (5, 8, 12)
    yield "6 blobs and 10 wild rows", blobs(4, 6, wild=10), (6, 12)
    yield "one hump", blobs(5, 1), (2, 5, 12)
    yield "12 blobs, 30,000 rows", blobs(6, 12, rows=30_000, sizes=0.8), (6, 12)


def inertia(bench, seeds):
    print(f"| table | rows x columns | k | mean of {len(seeds)} seeds | worst seed | worst of its own |")
    print("|---|---|---|---|---|---|")
    worst = 0
    for name, values, numbers in bundled():
        bench.write(integers(values))
        for k in numbers:
            ours, theirs = [], []
            for seed in seeds:
                told, count, groups, rows = bench.fit(k, seed)
                if count != k or not np.isclose(told, spread_of(groups, rows), rtol=1e-3):
                    sys.exit(f"{name}, {k}: {count} groups, inertia {told} is not what they have")
                ours.append(told)
                theirs.append(KMeans(k, n_init=10, random_state=seed).fit(rows).inertia_)
            best = min(theirs)
            mean, most = np.mean(ours) / np.mean(theirs), max(ours) / best
            worst = max(worst, mean)
            rows, width = values.shape
            print(
                f"| {name} | {rows} x {width} | {k} | {mean:.4f} | {most:.4f} | {max(theirs) / best:.4f} |",
                flush=True,
            )
    return worst


def noise(seed, kind, width=24, rows=1000):
    rng = np.random.default_rng(seed)
    if kind == "even":
        return rng.uniform(-1, 1, (rows, width))
    if kind == "heavy tails":
        return rng.standard_t(3, (rows, width))
    normal = rng.standard_normal((rows, width))
    if kind == "columns that go together":
        normal += 2 * rng.standard_normal((rows, 2)) @ rng.standard_normal((2, width))
    return normal


def made():
    """Name, numbers of groups, and a table of a seed and number."""
    several = (2, 3, 4, 6, 8, 10)
    yield "blobs in 24 columns", several, blobs
    yield "in 6 of 24 columns", several, lambda seed, k: blobs(seed, k, different=6, box=5)
    yield "in 2 columns", (2, 3, 4, 6), lambda seed, k: blobs(seed, k, width=2, box=10)
    yield "each 0.6 as great as the one before", several, lambda seed, k: blobs(seed, k, sizes=0.6)
    yield "10 of 1,000 rows wild", several, lambda seed, k: blobs(seed, k, wild=10)
    yield "100 rows", (2, 3, 4, 6), lambda seed, k: blobs(seed, k, rows=100)
    for kind in ("normal", "columns that go together", "even", "heavy tails"):
        yield f"no groups, {kind}", (1,), lambda seed, k, kind=kind: noise(seed, kind)
        yield f"no groups, {kind}, 2 columns", (1,), lambda seed, k, kind=kind: noise(seed, kind, 2)
    for rows, width in ((60, 24), (60, 3), (200, 3)):
        name = f"no groups, normal, {rows} rows, {width} columns"
        yield name, (1,), lambda seed, k, of=(width, rows): noise(seed, "normal", *of)


def by_silhouette(rows, seed):
    """The number of groups with the greatest silhouette, which cannot be 1."""
    found = {}
    for k in range(2, 13):
        groups = KMeans(k, n_init=10, random_state=seed).fit_predict(rows)
        found[k] = silhouette_score(rows, groups)
    return max(found, key=found.get)


def numbers(bench, seeds, slow):
    print("| made | groups | found | one more or less | silhouette, scikit-learn |")
    print("|---|---|---|---|---|")
    for name, several, make in made():
        exact = near = theirs = tries = 0
        for k in several:
            for seed in seeds:
                bench.write(integers(make(100 * k + seed, k)))
                _, count, _, rows = bench.fit(0, seed)
                tries += 1
                exact += count == k
                near += abs(count - k) <= 1
                theirs += slow and by_silhouette(rows, seed) == k
        word = ", ".join(map(str, several))
        told = f"{theirs} of {tries}" if slow else "–"
        print(f"| {name} | {word} | {exact} of {tries} | {near} of {tries} | {told} |", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="python -m groups.compare", description=__doc__)
    parser.add_argument(
        "--bench",
        default="cargo bench --quiet --locked --bench unsupervised --",
        help="the command of the bench (default: %(default)s)",
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--fast", action="store_true", help="without scikit-learn's silhouettes")
    parser.add_argument("--only", choices=("inertia", "numbers"), help="one of the two tables")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(args.bench, work)
        worst, seeds = 0, range(args.first, args.first + args.seeds)
        if args.only != "numbers":
            worst = inertia(bench, seeds)
            print(f"\nWorst mean: {worst:.4f} of scikit-learn's.\n")
        if args.only != "inertia":
            numbers(bench, seeds, not args.fast)
    if worst > WITHIN:
        sys.exit(f"inertia is beyond {WITHIN} of scikit-learn's")


if __name__ == "__main__":
    main()
