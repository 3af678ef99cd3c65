"""The isolation forest beside others, on tables of scikit-learn's: `make compare-forest`.

Tables: of each bundled set each class in turn is thinned to 5 % of the table (at least five rows) and is what has to
be found; the other classes stay whole. Ten seeds: each draws the rows that are left, and starts every forest. Columns
are stretched to -16384..=16383 and rounded, and everybody gets these integers. AUC counts ties as half.

`--kinds` also compares ways to grow and to ask a forest, written here in numpy.
"""

import argparse
import json
import subprocess
import warnings
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from . import kinds

SEEDS = 10
SHARE = 0.05
LEAST = 5
TREES = 100
SAMPLE = 256
# Of Student's t with nine degrees of freedom: 95 % lie within.
T = 2.262
SETS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}


def tables(first):
    """Set, name, and for each seed from `first` on integers with what is to be found."""
    for of, load in SETS.items():
        rows, classes = load(return_X_y=True)
        for thinned in np.unique(classes):
            bulk, rare = np.flatnonzero(classes != thinned), np.flatnonzero(classes == thinned)
            count = max(LEAST, round(len(bulk) * SHARE / (1 - SHARE)))
            draws = []
            for seed in range(first, first + SEEDS):
                rng = np.random.default_rng([seed, int(thinned)])
                left = np.sort(np.concatenate([bulk, rng.choice(rare, count, replace=False)]))
                draws.append((seed, integers(rows[left]), classes[left] == thinned))
            yield of, f"{of}, class {thinned}", draws


def integers(rows):
    low, high = rows.min(0), rows.max(0)
    span = np.where(high > low, high - low, 1)
    return np.round((rows - low) / span * 32767 - 16384).astype(np.int64)


def executable(cargo):
    """Builds the bench, and says where it is."""
    build = [cargo, "bench", "--quiet", "--locked", "--bench", "unsupervised", "--no-run"]
    lines = subprocess.run(
        [*build, "--message-format=json"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    made = [json.loads(line) for line in lines]
    return next(
        it["executable"] for it in made if it.get("target", {}).get("name") == "unsupervised"
    )


def ours(bench, work):
    def score(rows, seed):
        file = work / "table.csv"
        np.savetxt(file, rows, fmt="%d", delimiter=",")
        done = subprocess.run(
            [bench, "forest", file, str(seed)], check=True, stdout=subprocess.PIPE, text=True
        )
        return np.array(done.stdout.split(), int)

    return score


def scikit(rows, seed):
    sample = min(SAMPLE, len(rows))
    model = IsolationForest(n_estimators=TREES, max_samples=sample, random_state=seed)
    return -model.fit(rows).score_samples(rows)


def pyod_forest(rows, seed):
    from pyod.models.iforest import IForest

    sample = min(SAMPLE, len(rows))
    model = IForest(n_estimators=TREES, max_samples=sample, random_state=seed)
    return model.fit(rows).decision_scores_


def pyod_inne(rows, seed):
    from pyod.models.inne import INNE

    return INNE(random_state=seed).fit(rows).decision_scores_


def pyod_ecod(rows, _):
    from pyod.models.ecod import ECOD

    return ECOD().fit(rows).decision_scores_


def mean(values):
    """The mean of the seeds with its interval of 95 %."""
    values = np.asarray(values)
    return f"{values.mean():.3f} ± {T * values.std(ddof=1) / np.sqrt(len(values)):.3f}"


def difference(values):
    return mean(values) if np.mean(values) < 0 else f"+{mean(values)}"


def measure(contenders, everything):
    """AUC by contender: table by seed."""
    found = {name: [] for name in contenders}
    for _, name, draws in everything:
        for contender, score in contenders.items():
            of_seeds = [
                roc_auc_score(is_rare, score(rows, seed)) for seed, rows, is_rare in draws
            ]
            found[contender].append(of_seeds)
        print(name, *(f"{np.mean(of[-1]):.4f}" for of in found.values()), flush=True)
    return {name: np.array(values) for name, values in found.items()}


def compared(found, everything):
    """A row for each table, for each set and for all: means of the seeds."""
    names = list(found)
    places = {of: [at for at, it in enumerate(everything) if it[0] == of] for of in SETS}
    lines = [
        f"| table | {' | '.join(names)} | {names[0]} less {names[1]} |",
        "|---" * (len(names) + 2) + "|",
    ]

    def row(name, of):
        """`of` makes one number for each seed from those of all tables."""
        means = {contender: of(values) for contender, values in found.items()}
        cells = [mean(values) for values in means.values()]
        cells.append(difference(means[names[0]] - means[names[1]]))
        lines.append(f"| {name} | {' | '.join(cells)} |")

    for place, (_, name, _) in enumerate(everything):
        row(name, lambda values, place=place: values[place])
    for of, at in places.items():
        row(f"**{of}**, mean of {len(at)}", lambda values, at=at: values[at].mean(0))
    row(f"**all**, mean of {len(everything)}", lambda values: values.mean(0))
    by_set = places.values()
    row("**all**, each set alike", lambda values: np.mean([values[at].mean(0) for at in by_set], 0))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cargo", default="cargo")
    parser.add_argument("--work", type=Path, required=True, help="where files may go")
    parser.add_argument("--first", type=int, default=0, help="the first of the ten seeds")
    parser.add_argument("--kinds", action="store_true", help="ways to grow a forest instead")
    args = parser.parse_args()
    # Of columns that are the same in every row.
    warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
    args.work.mkdir(parents=True, exist_ok=True)
    everything = list(tables(args.first))
    if args.kinds:
        contenders = {name: kinds.scorer(**kind) for name, kind in kinds.KINDS.items()}
    else:
        contenders = {
            "this forest": ours(executable(args.cargo), args.work),
            "scikit-learn": scikit,
            "PyOD, IForest": pyod_forest,
            "PyOD, INNE": pyod_inne,
            "PyOD, ECOD": pyod_ecod,
        }
    lines = compared(measure(contenders, everything), everything)
    file = args.work / ("kinds.md" if args.kinds else "compare.md")
    file.write_text("\n".join(lines) + "\n")
    print(file.read_text(), end="")


if __name__ == "__main__":
    main()
