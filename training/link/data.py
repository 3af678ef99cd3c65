"""The labelled URLs, their features, and which rows each run trains on and is judged by."""

import csv
import gzip
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import tasks

# The inputs of the model: name, kind, width.
WIDTHS = {
    "host": ("i32", 64),
    "path": ("i32", 128),
    "host_words": ("i32", 12),
    "path_words": ("i32", 28),
    "suffix": ("i32", 4),
    "measures": ("f32", 137),
}
# Rows of a source and class that a pairing is judged by at most.
TESTED = 15_000
# The run whose model is shipped; one that leaves the requests of a browser out, by which a threshold
# is set; one that is trained on what is older than what it is judged by.
ALL, BROWSER, TIME = "all", "browser", "time"
MORE = (BROWSER, TIME, ALL)
BROWSED = "brave_sitelist2015"


@dataclass
class Urls:
    """Rows of a task; `columns` are the inputs of the model, `names` those of the measures."""

    path: np.ndarray
    label: np.ndarray
    source: np.ndarray
    domain: np.ndarray
    date: np.ndarray
    columns: dict
    usable: np.ndarray
    names: list

    def is_address(self):
        """Whether the host is an address."""
        return self.measure("address") > 0

    def has_path(self):
        return self.measure("path") > 0

    def measure(self, name):
        return self.columns["measures"][:, self.names.index(name)]


def _path(text):
    """The path of a URL as it stands, with what is behind it."""
    text = text.split("://", 1)[1] if "://" in text[:12] else text
    ends = [at for at in (text.find("/"), text.find("?"), text.find("#")) if at >= 0]
    return text[min(ends, default=len(text)) :]


def measures(binary, work):
    """The names of the measures, as the program gives them."""
    listed = Path(work) / "one.txt"
    listed.write_text("example.com\n")
    out = subprocess.run(
        [binary, "--quiet", "features", "phishing", listed], check=True, capture_output=True, text=True
    )
    listed.unlink()
    before = sum(width for name, (_, width) in WIDTHS.items() if name != "measures")
    return out.stdout.splitlines()[0].split(",")[before:]


def features(binary, urls, work):
    """The inputs of the model for each URL, in the smallest types, and if it is usable."""
    listed, out = Path(work) / "urls.txt", Path(work) / "urls.npy"
    clean = ("".join(c for c in url if c not in "\r\n") for url in urls)
    listed.write_text("".join(f"{url}\n" for url in clean), encoding="utf-8")
    subprocess.run([binary, "--quiet", "features", "phishing", listed, "--out", out], check=True)
    rows = np.load(out, mmap_mode="r")
    usable = ~np.isnan(rows[:, 0])
    kinds = {"host": np.uint8, "path": np.uint8, "suffix": np.int16}
    columns, start = {}, 0
    for name, (kind, width) in WIDTHS.items():
        part = np.nan_to_num(rows[:, start : start + width])
        columns[name] = part.astype(kinds.get(name, np.int32 if kind == "i32" else np.float32))
        start += width
    assert start == rows.shape[1], "the program has other features than the training"
    listed.unlink()
    out.unlink()
    return columns, usable


def _rows(path):
    csv.field_size_limit(1 << 30)
    with gzip.open(path, "rt", newline="") as file:
        yield from csv.DictReader(file)


def _labelled(path, positive, negative):
    """Rows of two classes, each with its label; nothing of logs, whose labels are guesses."""
    label = {**dict.fromkeys(positive, 1), **dict.fromkeys(negative, 0)}
    for row in _rows(path):
        if row["label"] in label and not row["source"].startswith("zeek:"):
            yield row | {"label": label[row["label"]], "url": row.get("norm", row["url"])}


def load(directory, task, binary, work):
    """All rows of a task, with features."""
    rows = list(_labelled(directory / task.file, task.positive, task.negative))
    columns, usable = features(binary, [row["url"] for row in rows], work)
    return Urls(
        path=np.array([_path(row["url"]) for row in rows], object),
        label=np.array([row["label"] for row in rows], np.int8),
        source=np.array([row["source"] for row in rows]),
        domain=np.array([row["regdom"] for row in rows]),
        date=np.array([row["date"] for row in rows]),
        columns=columns,
        usable=usable,
        names=measures(binary, work),
    )


def split(urls, task, run):
    """Rows to train on and rows to judge by."""
    free = urls.usable & ~np.isin(urls.source, tasks.NOT_COMMERCIAL)
    if run == ALL:
        return np.where(free)[0], np.zeros(0, int)
    if run == TIME:
        return by_time(urls, free)
    if run == BROWSER:
        held = np.char.startswith(urls.source, BROWSED)
        free &= ~held & ~np.isin(urls.domain, np.unique(urls.domain[held]))
        return np.where(free)[0], np.where(held & urls.usable)[0]
    rng, tested = np.random.default_rng(7), []
    held = task.pairings[run]
    for label, sources in zip((1, 0), held):
        for source in sources:
            rows = np.where((urls.label == label) & (urls.source == source) & urls.usable)[0]
            tested.append(np.sort(rng.permutation(rows)[:TESTED]))
    tested = np.concatenate(tested)
    for label, sources in zip((1, 0), held):
        free &= ~((urls.label == label) & np.isin(urls.source, sources))
    free &= ~np.isin(urls.domain, np.unique(urls.domain[tested]))
    trained = np.where(free)[0]
    if task.unseen_path:
        seen = set(urls.path[trained])
        tested = tested[[urls.path[row] not in seen for row in tested]]
    return trained, tested


def by_time(urls, free, before="2025-01", after="2025-07"):
    """Rows from before a month, and rows from another on; of a year alone, before that year. What has
    no date is in neither."""
    # `2022-23` are two years, of which the later counts.
    spans = np.array([len(date) == 7 and date[5:] > "12" for date in urls.date])
    month = np.array([date[:7] if len(date) >= 7 else "" for date in urls.date])
    month[spans] = ""
    year = np.array([f"20{date[5:]}" if span else date[:4] for date, span in zip(urls.date, spans)])
    old = (month != "") & (month < before) | (month == "") & (year != "") & (year < before[:4])
    new = urls.usable & (month >= after)
    new &= ~np.isin(urls.domain, np.unique(urls.domain[free & old]))
    return np.where(free & old)[0], np.where(new)[0]


def empty(names):
    """Which measures are of the path, and what they are where there is none."""
    of_path = np.arange(len(names)) >= names.index("path_bait")
    of_path[names.index("brand_in_path")] = True
    none = np.zeros(len(names), np.float32)
    none[names.index("extension_none")] = 1
    return of_path, none


def seen(names, task):
    """The measures that a task's model sees, by their place."""
    return [at for at, name in enumerate(names) if name not in task.left_out]


def narrowed(columns, places):
    """The same rows with these measures only."""
    return columns | {"measures": columns["measures"][:, places]}


def without_path(columns, empty):
    """The same rows as hosts alone."""
    out = dict(columns)
    for name in ("path", "path_words"):
        out[name] = np.zeros_like(out[name])
    out["measures"] = np.where(empty[0], empty[1], columns["measures"]).astype(np.float32)
    return out


def fingerprint(directory, task):
    """SHA-256 of the data of a task."""
    return hashlib.sha256((directory / task.file).read_bytes()).hexdigest()
