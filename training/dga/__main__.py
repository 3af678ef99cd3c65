"""Trains, calibrates, evaluates and exports the model of `dga`: `python -m dga --help`."""

import argparse
import hashlib
import json
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from . import data, model, synth, trees

STEPS = 2400
BATCH = 512
MEMBERS = 2
SEED = 8


def recipe(*more):
    """What a finished run depends on beside the data: another recipe trains anew."""
    files = ("data.py", "model.py", "synth.py", "words.py", *more)
    text = "".join((Path(__file__).parent / name).read_text() for name in files)
    return hashlib.sha256(f"{text} {STEPS} {BATCH} {MEMBERS} {SEED}".encode()).hexdigest()


def finished(path, wanted):
    """What a run left in `path`, if it was of this recipe."""
    if path.exists():
        kept = np.load(path)
        if str(kept["recipe"]) == wanted:
            return kept
    return None


def keep(path, **values):
    part = path.with_suffix(".part.npz")
    np.savez(part, **values)
    part.rename(path)
    return np.load(path)


def train_networks(run, prepared, tested, path):
    """The networks of one run, and the logits of the rows that it left out."""
    columns, weights, tables = prepared
    began = time.monotonic()
    rng = np.random.default_rng(SEED + run)
    draws = rng.random((MEMBERS, STEPS, BATCH)) * np.cumsum(weights)[-1] * (1 - 1e-9)
    indices = np.searchsorted(np.cumsum(weights), draws).astype(np.int32)
    columns = [jnp.asarray(column) for column in columns]
    seeds = [SEED + 100 * run + member for member in range(MEMBERS)]

    def report(done, steps):
        if done % 400 == 0:
            print(f"run {run}: {done} of {steps} steps, {time.monotonic() - began:.0f} s", flush=True)

    members = model.train(model.CONFIG, columns, tables, indices, seeds, report)
    logits = np.zeros(len(tested), np.float32)
    if len(tested):
        each = [model.predict(model.CONFIG, p, tables, columns, tested) for p in members]
        logits = np.mean(each, axis=0)
    out = {f"t_{name}": table for name, table in tables.items()}
    out |= {f"{at}_{name}": leaf for at, p in enumerate(members) for name, leaf in p.items()}
    print(f"run {run}: networks trained in {time.monotonic() - began:.0f} s", flush=True)
    return keep(path, recipe=recipe(), rows=tested, logits=logits, **out)


def train_trees(run, prepared, tested, path):
    """The trees of one run, and their logits of the rows that it left out."""
    columns, weights, tables = prepared
    began = time.monotonic()
    rows = trees.seen(columns, tables)
    booster = trees.fit(rows, columns, weights, SEED + run)
    logits = booster.predict(rows[tested], raw_score=True) if len(tested) else np.zeros(0)
    print(f"run {run}: trees trained in {time.monotonic() - began:.0f} s", flush=True)
    return keep(path, recipe=recipe("trees.py"), logits=logits, text=booster.model_to_string())


def train(names, run, binary, work, free):
    """Both kinds of one run; what is finished in `work` is taken from there."""
    table, usable = names.table, names.columns[3]
    tested = np.where(usable & (table["fold"] == run))[0] if run < data.FOLDS else np.zeros(0, int)
    paths = work / f"run-{run}.npz", work / f"trees-{run}.npz"
    kept = [finished(paths[0], recipe()), finished(paths[1], recipe("trees.py"))]
    if None in kept:
        prepared = names.train_on(run, binary, work, free)
        for at, kind in enumerate((train_networks, train_trees)):
            if kept[at] is None:
                kept[at] = kind(run, prepared, tested, paths[at])
    return kept


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--data", type=Path, required=True, help="the directory of dga.csv.gz and zeek/")
    args.add_argument("--binary", required=True, help="zeek-ueba, which computes the features")
    args.add_argument("--work", type=Path, required=True, help="where finished runs are kept")
    args.add_argument("--out", type=Path, required=True, help="the directory of models.toml")
    args.add_argument("--runs", default="5,0,1,2,3,4", help="only these runs, and no export")
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    names = data.load(args.data / "dga.csv.gz", args.binary, args.work)
    free = synth.make(synth.FREE, synth.Source([], synth.TOPS, []), 12_000, 25, SEED)
    runs = [int(run) for run in args.runs.split(",")]
    kept = {run: train(names, run, args.binary, args.work, free) for run in runs}
    if sorted(runs) == list(range(data.FOLDS + 1)):
        from . import finish

        finish.write(args, names, kept)


if __name__ == "__main__":
    main()
