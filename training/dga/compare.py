"""Other kinds of models by the same protocol, on the same draws: `python -m dga.compare --help`.

What the shipped network is measured against; nothing of this is shipped.
"""

import argparse
import json
import time
from pathlib import Path

import jax.numpy as jnp
import lightgbm
import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from . import data, evaluate, model, synth
from .__main__ import BATCH, SEED, STEPS

ROWS = 600_000


def text(columns, rows):
    """`^label$` and the id of the top-level label, for n-grams."""
    labels = data.letters(columns[0][rows].astype(np.int32))
    return [f"^{label}$ {top}" for label, top in zip(labels, columns[1][rows, 1])]


def grams(columns, drawn, tested):
    vectors = HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=1 << 20, norm="l2")
    linear = SGDClassifier("log_loss", alpha=2e-7, max_iter=4, tol=None, random_state=SEED)
    linear.fit(vectors.transform(text(columns, drawn)), columns[3][drawn])
    return linear.decision_function(vectors.transform(text(columns, tested)))


def trees(parts, columns, drawn, tested):
    settings = {
        "objective": "binary", "num_leaves": 63, "learning_rate": 0.1, "verbosity": -1,
        "num_threads": 2, "seed": SEED, "deterministic": True, "force_row_wise": True,
    }
    rows = lightgbm.Dataset(parts[drawn], columns[3][drawn])
    return lightgbm.train(settings, rows, 200).predict(parts[tested], raw_score=True)


def network(columns, tables, weights, tested, seed):
    rng = np.random.default_rng(seed)
    total = np.cumsum(weights)
    draws = rng.random((1, STEPS, BATCH)) * total[-1] * (1 - 1e-9)
    indices = np.searchsorted(total, draws).astype(np.int32)
    on_device = [jnp.asarray(column) for column in columns]
    (p,) = model.train(model.CONFIG, on_device, tables, indices, [seed])
    return model.predict(model.CONFIG, p, tables, on_device, tested)


def summaries(columns, tables):
    """What is told of all n-grams of a label, in pieces."""
    out = []
    for start in range(0, len(columns[0]), 1 << 16):
        part = slice(start, start + (1 << 16))
        tokens = model.with_ends(jnp, jnp.asarray(columns[0][part]))
        top = jnp.asarray(columns[1][part, 1])
        own = jnp.asarray(columns[4][part])
        out.append(np.asarray(model.known(tables, tokens, top, own)[1]))
    return np.concatenate(out)


def fold(names, run, args, free):
    """Scores of every kind of model on the rows that `run` leaves out."""
    columns, weights, tables = names.train_on(run, args.binary, args.work, free)
    table, usable = names.table, names.columns[3]
    tested = np.where(usable & (table["fold"] == run))[0]
    rng = np.random.default_rng(SEED + run)
    total = np.cumsum(weights)
    drawn = np.searchsorted(total, rng.random(ROWS) * total[-1] * (1 - 1e-9))
    nothing = {name: np.zeros_like(cells) for name, cells in tables.items()}
    known = np.concatenate([columns[2], summaries(columns, tables)], axis=1)
    out = {"rows": tested}
    for name, score in (
        ("n-grams, logistic regression", lambda: grams(columns, drawn, tested)),
        ("boosted trees, measures", lambda: trees(columns[2], columns, drawn, tested)),
        ("boosted trees, measures and counts", lambda: trees(known, columns, drawn, tested)),
        ("network without counts", lambda: network(columns, nothing, weights, tested, SEED + run)),
        ("network", lambda: network(columns, tables, weights, tested, SEED + run)),
    ):
        began = time.monotonic()
        out[name] = np.asarray(score(), np.float32)
        print(f"run {run}: {name}, {time.monotonic() - began:.0f} s", flush=True)
    return out


STACKS = {
    "network and trees": ("network", "boosted trees, measures and counts"),
    "network, trees and n-grams": (
        "network", "boosted trees, measures and counts", "n-grams, logistic regression",
    ),
}


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--binary", required=True)
    args.add_argument("--work", type=Path, required=True)
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    names = data.load(args.data / "dga.csv.gz", args.binary, args.work)
    free = synth.make(synth.FREE, synth.Source([], synth.TOPS, []), 12_000, 25, SEED)
    parts = []
    for run in range(data.FOLDS):
        path = args.work / f"compare-{run}.npz"
        if not path.exists():
            np.savez(path, **fold(names, run, args, free))
        parts.append(np.load(path))
    scores = {
        name: np.concatenate([part[name] for part in parts]).astype(float)
        for name in parts[0].files
        if name != "rows"
    }
    for name, members in STACKS.items():
        scores[name] = np.mean([scores[member] for member in members], axis=0)
    rows = np.concatenate([part["rows"] for part in parts])
    results = {}
    for name, values in scores.items():
        families, _ = evaluate.by_family(values, names.table, rows)
        results[name] = evaluate.table(families)
        cells = []
        for row in results[name].values():
            auc, pooled2, macro2, pooled3, macro3 = row["figures"]
            cells.append(f"{auc:.3f}, {pooled2:.3f} ({macro2:.3f}), {pooled3:.3f} ({macro3:.3f})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    (args.work / "compare.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
