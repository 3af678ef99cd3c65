"""The labelled names, their features, and what each run may train on.

Run 0 to 4 leaves a fold out: its families, and benign names by hash of the registered domain. Run 5
leaves nothing out: its model is the one that is shipped.
"""

import csv
import gzip
import subprocess
from pathlib import Path

import numpy as np

from . import model, synth, words

FOLDS = 5
ALL = 5

# Of what is drawn for training: benign names, and of the generated ones those that are synthetic.
BENIGN = 0.6
SYNTHETIC = 0.35
# And of all that is drawn, names that providers hand out by machine, and names of people where
# anybody gets one: public lists have next to none of both.
LENT = 0.05
# A family weighs as its size to this power: 0 would be all alike, 1 as they come.
FAMILY_POWER = 0.4


def read(path):
    """The rows of `dga.csv.gz`, column by column."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    out = {name: np.array([row[name] for row in rows]) for name in ("domain", "family", "type")}
    out["label"] = np.array([int(row["label"]) for row in rows], np.int8)
    out["fold"] = np.array([int(row["lfo_fold"]) for row in rows], np.int8)
    out["source"] = np.array([row["source"].split(":")[0] for row in rows])
    out["dictionary"] = np.isin(out["type"], ["dictionary", "semi_dictionary"])
    return out


def features(binary, names, work):
    """What `zeek-ueba features dga` says of each name: label, suffix, measures, and if it is usable."""
    listed, out = Path(work) / "names.txt", Path(work) / "features.npy"
    listed.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    subprocess.run([binary, "--quiet", "features", "dga", listed, "--out", out], check=True)
    rows = np.load(out)
    listed.unlink()
    out.unlink()
    usable = ~np.isnan(rows[:, 0])
    rows[~usable] = 0
    label = rows[:, :64].astype(np.int32)
    return label, rows[:, 64:68].astype(np.int32), np.ascontiguousarray(rows[:, 68:]), usable


def first_of_each(label, suffix, usable):
    """One row for each registered domain."""
    key = np.concatenate([label, suffix[:, :2]], axis=1).astype(np.uint16)
    key = np.ascontiguousarray(key).view([("", f"V{2 * key.shape[1]}")]).ravel()
    first = np.unique(key, return_index=True)[1]
    out = np.zeros(len(label), bool)
    out[first] = True
    return out & usable


def letters(label):
    """The text of labels of ASCII."""
    alphabet = np.array(list(" abcdefghijklmnopqrstuvwxyz0123456789-_??"))
    return ["".join(alphabet[row[row > 0]]) for row in label]


class Set:
    """All rows, and for each run how likely each is drawn and what is known."""

    def __init__(self, table, columns, unique):
        self.table, self.columns, self.unique = table, columns, unique

    def allowed(self, run):
        return self.unique & (self.table["fold"] != run)

    def counted(self, run):
        """1 for names that stand in the tables of what is known."""
        return (self.allowed(run) & (self.table["label"] == 0)).astype(np.float32)

    def train_on(self, run, binary, work, free):
        """Columns with synthetic rows behind the real ones, their weights, and the tables."""
        table, label, suffix = self.table, self.columns[0], self.columns[1]
        allowed = self.allowed(run)
        benign = np.where(self.counted(run))[0]
        tables = model.count(label[benign], suffix[benign, 1])
        texts = sorted({text for text in letters(label[benign]) if "?" not in text})
        tops = [name.rsplit(".", 1)[-1] for name in table["domain"][benign][::7]]
        found = words.find(texts)
        source = synth.Source(texts, tops, found)
        names, share = synth.make(synth.MADE_OF_NAMES, source, 2000, 40, 100 + run)
        names, share = free[0] + names, np.array(free[1] + share)
        lent = synth.assigned(found[:2000], 20_000, 200 + run)
        lent += synth.hosted(texts, 20_000, 300 + run)
        columns = features(binary, names + lent, work)
        weights = np.zeros(len(label))
        weights[benign] = BENIGN / len(benign)
        families, sizes = np.unique(table["family"][allowed & (table["label"] == 1)], return_counts=True)
        total = np.sum(sizes**FAMILY_POWER)
        for family, size in zip(families, sizes):
            rows = allowed & (table["family"] == family)
            each = (1 - BENIGN) * (1 - SYNTHETIC) * size**FAMILY_POWER / total
            weights[rows] = each / size
        share = np.concatenate(
            [(1 - BENIGN) * SYNTHETIC * share, np.full(len(lent), LENT / len(lent))]
        )
        weights = np.concatenate([weights * (1 - LENT), share * columns[3]])
        label = np.concatenate([np.ones(len(names)), np.zeros(len(lent))]).astype(np.float32)
        real = [*self.columns[:3], table["label"].astype(np.float32), self.counted(run)]
        behind = [*columns[:3], label, np.zeros(len(label), np.float32)]
        joined = [np.concatenate(pair) for pair in zip(real, behind)]
        joined[0] = joined[0][:, : model.LENGTH].astype(np.uint8)
        return joined, weights / weights.sum(), tables


def load(path, binary, work):
    table = read(path)
    label, suffix, measures, usable = features(binary, table["domain"], work)
    return Set(table, (label, suffix, measures, usable), first_of_each(label, suffix, usable))
