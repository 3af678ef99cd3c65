"""Trains, calibrates, evaluates and exports a model of URLs: `python -m link --help`."""

import argparse
import hashlib
import os
import time
from pathlib import Path

# One thread: the same sums on any number of cores. JAX reads it when it is imported.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np

from . import data, model, synth, tasks, trees

SEED = 9


def recipe(task):
    """What a finished run depends on beside its data: another recipe trains anew."""
    files = ("__main__.py", "data.py", "model.py", "synth.py", "trees.py")
    text = "".join((Path(__file__).parent / name).read_text() for name in files)
    return hashlib.sha256(f"{text} {task.recipe()}".encode()).hexdigest()


def weights(task, rows, power):
    """What each row counts: sources by their size, rows of large domains less, classes alike; of
    each class addresses, hosts alone and the rest by the task's shares, where it has any."""
    label, domain, source = rows["label"], rows["domain"], rows["source"]
    of_source = np.char.add(source, label.astype(str))
    _, place, sizes = np.unique(np.char.add(of_source, domain), return_inverse=True, return_counts=True)
    out = sizes[place].astype(float) ** task.powers[2]
    _, place, sizes = np.unique(of_source, return_inverse=True, return_counts=True)
    out *= (sizes.astype(float) ** power / np.bincount(place, out))[place]
    address, path = rows["address"], rows["path"]
    for value in (0, 1):
        chosen = label == value
        for kind, share in zip((address, ~address & ~path, ~address & path), task.shares[value]):
            part = chosen & kind
            if share is not None and part.any():
                out[part] *= share / out[part].sum()
        out[chosen] *= 0.5 / out[chosen].sum()
    return out * len(label)


def training_rows(urls, task, trained, binary, work):
    """The rows of a run with the synthetic ones behind them: columns, and what weights depend on."""
    address = urls.is_address()
    named = trained[(urls.label[trained] == 0) & ~address[trained]]
    made = synth.make(urls.domain[named], SEED, task.programs)
    made += synth.machines(urls.domain[named], SEED, task.machines)
    columns, usable = data.features(binary, made, work)
    count = int(usable.sum())
    columns = {
        name: np.concatenate([urls.columns[name][trained], column[usable]])
        for name, column in columns.items()
    }
    return columns, {
        "label": np.concatenate([urls.label[trained], np.zeros(count, np.int8)]),
        "source": np.concatenate([urls.source[trained].astype("U32"), np.full(count, "synthetic")]),
        "domain": np.concatenate([urls.domain[trained], np.arange(count).astype(str)]),
        "address": np.concatenate([address[trained], np.zeros(count, bool)]),
        "path": columns["measures"][:, urls.names.index("path")] > 0,
    }


def train(urls, task, run, args):
    """One run: the members of the model, and their logits of the rows that it left out."""
    path, wanted = args.work / f"{run.replace(' ', '-')}.npz", recipe(task)
    if path.exists():
        kept = np.load(path)
        if str(kept["recipe"]) == wanted:
            return kept
    began = time.monotonic()
    trained, tested = data.split(urls, task, run)
    columns, rows = training_rows(urls, task, trained, args.binary, args.work)
    places = data.seen(urls.names, task)
    empty = data.empty([urls.names[at] for at in places])
    columns = data.narrowed(columns, places)
    cut = np.where(rows["source"] == "synthetic", 0, task.cut)
    booster = trees.fit(
        columns["measures"], rows["label"], weights(task, rows, task.powers[0]), empty, cut, SEED
    )
    total = np.cumsum(weights(task, rows, task.powers[1]))
    config = model.CONFIG | {"cut": task.cut}
    draws = np.random.default_rng(SEED).random((config["steps"], config["batch"]))
    drawn = np.searchsorted(total, draws * total[-1] * (1 - 1e-9))
    p = model.train(config, columns, rows["label"], drawn, empty, SEED)
    whole = {name: column[tested] for name, column in urls.columns.items()}
    whole = data.narrowed(whole, places)
    out = {}
    for name, part in (("whole", whole), ("host", data.without_path(whole, empty))):
        said = np.zeros((3, len(tested)), np.float32)
        if len(tested):
            said[0] = booster.predict(part["measures"], raw_score=True)
            said[1:] = model.predict(p, config, part, empty)
        out[name] = said
    print(f"{run}: {len(trained):,} rows, {time.monotonic() - began:.0f} s", flush=True)
    part = path.with_suffix(".part.npz")
    np.savez(
        part, recipe=wanted, rows=tested, trained=len(trained), text=booster.model_to_string(),
        **out, **{f"p_{name}": value for name, value in p.items()},
    )
    part.rename(path)
    return np.load(path)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("detector", choices=tasks.TASKS)
    args.add_argument("--data", type=Path, required=True, help="the directory of the lists and zeek/")
    args.add_argument("--binary", required=True, help="zeek-ueba, which computes the features")
    args.add_argument("--work", type=Path, required=True, help="where finished runs are kept")
    args.add_argument("--out", type=Path, required=True, help="the directory of models.toml")
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    task = tasks.TASKS[args.detector]
    urls = data.load(args.data, task, args.binary, args.work)
    runs = [*task.pairings, *data.MORE]
    kept = {run: train(urls, task, run, args) for run in runs}
    from . import finish

    finish.write(args, task, urls, kept)


if __name__ == "__main__":
    main()
