"""Trains, calibrates, evaluates and exports the model of `dga`: `python -m dga --help`."""

import argparse
import hashlib
import json
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from . import data, model, synth

STEPS = 2400
BATCH = 512
MEMBERS = 3
SEED = 8


def recipe():
    """What a finished run depends on beside the data: another recipe trains anew."""
    code = Path(__file__).parent
    text = "".join(
        (code / name).read_text() for name in ("data.py", "model.py", "synth.py", "words.py")
    )
    return hashlib.sha256(f"{text} {STEPS} {BATCH} {MEMBERS} {SEED}".encode()).hexdigest()


def train(names, run, binary, work, free):
    """The networks of one run, and the logits of the rows that it left out; kept in `work`."""
    path = work / f"run-{run}.npz"
    if path.exists():
        kept = np.load(path)
        if str(kept["recipe"]) == recipe():
            return kept
    began = time.monotonic()
    columns, weights, tables = names.train_on(run, binary, work, free)
    ready = time.monotonic()
    rng = np.random.default_rng(SEED + run)
    draws = rng.random((MEMBERS, STEPS, BATCH)) * np.cumsum(weights)[-1] * (1 - 1e-9)
    indices = np.searchsorted(np.cumsum(weights), draws).astype(np.int32)
    columns = [jnp.asarray(column) for column in columns]
    seeds = [SEED + 100 * run + member for member in range(MEMBERS)]

    def report(done, steps):
        if done % 400 == 0:
            print(f"run {run}: {done} of {steps} steps, {time.monotonic() - ready:.0f} s", flush=True)

    members = model.train(model.CONFIG, columns, tables, indices, seeds, report)
    table, usable = names.table, names.columns[3]
    rows = np.where(usable & (table["fold"] == run))[0] if run < data.FOLDS else np.array([], int)
    logits = np.zeros(len(rows), np.float32)
    if len(rows):
        each = [model.predict(model.CONFIG, p, tables, columns, rows) for p in members]
        logits = np.mean(each, axis=0)
    out = {"recipe": recipe(), "rows": rows, "logits": logits}
    out |= {f"t_{name}": table for name, table in tables.items()}
    out |= {f"{at}_{name}": leaf for at, p in enumerate(members) for name, leaf in p.items()}
    out["seconds"] = np.array([ready - began, time.monotonic() - ready])
    whole = path.with_suffix(".part.npz")
    np.savez(whole, **out)
    whole.rename(path)
    print(f"run {run}: trained in {time.monotonic() - began:.0f} s", flush=True)
    return np.load(path)


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
