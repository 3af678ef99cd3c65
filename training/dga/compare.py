"""Other kinds of models by the same protocol, on the same draws: `python -m dga.compare --help`.

What the shipped network is measured against; nothing of this is shipped.
"""

import argparse
import json
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from . import data, evaluate, model, synth, trees
from .__main__ import BATCH, SEED, STEPS


def text(columns, rows):
    """`^label$` and the id of the top-level label, for n-grams."""
    labels = data.letters(columns[0][rows].astype(np.int32))
    return [f"^{label}$ {top}" for label, top in zip(labels, columns[1][rows, 1])]


def grams(columns, drawn, tested):
    vectors = HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=1 << 20, norm="l2")
    linear = SGDClassifier("log_loss", alpha=2e-7, max_iter=4, tol=None, random_state=SEED)
    linear.fit(vectors.transform(text(columns, drawn)), columns[3][drawn])
    return linear.decision_function(vectors.transform(text(columns, tested)))


def network(columns, tables, weights, tested, seed):
    rng = np.random.default_rng(seed)
    total = np.cumsum(weights)
    draws = rng.random((1, STEPS, BATCH)) * total[-1] * (1 - 1e-9)
    indices = np.searchsorted(total, draws).astype(np.int32)
    on_device = [jnp.asarray(column) for column in columns]
    (p,) = model.train(model.CONFIG, on_device, tables, indices, [seed])
    return model.predict(model.CONFIG, p, tables, on_device, tested)


KINDS = (
    "n-grams, logistic regression",
    "boosted trees, measures",
    "boosted trees, measures and counts",
    "network without counts",
    "one network",
)
STACKS = {
    "one network and trees": ("one network", "boosted trees, measures and counts"),
    "one network, trees and n-grams": (
        "one network", "boosted trees, measures and counts", "n-grams, logistic regression",
    ),
}


def fold(names, run, tested, kinds, args, free):
    """Scores of kinds of models on the rows that `run` leaves out."""
    columns, weights, tables = names.train_on(run, args.binary, args.work, free)
    rng = np.random.default_rng(SEED + run)
    total = np.cumsum(weights)
    drawn = np.searchsorted(total, rng.random(trees.ROWS) * total[-1] * (1 - 1e-9))
    nothing = {name: np.zeros_like(cells) for name, cells in tables.items()}

    def boosted(rows):
        booster = trees.fit(rows, columns, weights, SEED + run)
        return booster.predict(rows[tested], raw_score=True)

    ways = (
        lambda: grams(columns, drawn, tested),
        lambda: boosted(columns[2]),
        lambda: boosted(trees.seen(columns, tables)),
        lambda: network(columns, nothing, weights, tested, SEED + run),
        lambda: network(columns, tables, weights, tested, SEED + run),
    )
    for name, score in zip(KINDS, ways):
        if name in kinds:
            began = time.monotonic()
            yield name, np.asarray(score(), np.float32)
            print(f"run {run}: {name}, {time.monotonic() - began:.0f} s", flush=True)


def kept(args, run, kind):
    return args.work / f"compare-{run}-{kind.replace(' ', '-').replace(',', '')}.npy"


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--binary", required=True)
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    names = data.load(args.data / "dga.csv.gz", args.binary, args.work)
    free = synth.make(synth.FREE, synth.Source([], synth.TOPS, []), 12_000, 25, SEED)
    usable, folds = names.columns[3], names.table["fold"]
    tested = [np.where(usable & (folds == run))[0] for run in range(data.FOLDS)]
    for run in range(data.FOLDS):
        missing = [kind for kind in args.kinds if not kept(args, run, kind).exists()]
        if missing:
            for kind, scores in fold(names, run, tested[run], missing, args, free):
                np.save(kept(args, run, kind), scores)
    scores = {
        kind: np.concatenate([np.load(kept(args, run, kind)) for run in range(data.FOLDS)]).astype(float)
        for kind in args.kinds
    }
    for name, members in STACKS.items():
        if all(member in scores for member in members):
            scores[name] = np.mean([scores[member] for member in members], axis=0)
    rows = np.concatenate(tested)
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
