"""What was really asked for: fields of Zeek's logs below `zeek/`, which MANIFEST.csv lists."""

import csv
import gzip
import json
import tarfile
from pathlib import Path


def _bytes(root, name, archives):
    """A log, or one inside an archive, which leaves out the directories that all of it is in."""
    if ".tar.gz:" in name:
        archive, member = name.replace(".tar.gz:", ".tar.gz:/").split(":", 1)
        if archive not in archives:
            archives[archive] = tarfile.open(root / archive)
        opened = archives[archive]
        path = next(path for path in opened.getnames() if member.endswith(f"/{path}"))
        found = opened.extractfile(path).read()
    else:
        found = (root / name).read_bytes()
    return gzip.decompress(found) if found[:2] == b"\x1f\x8b" else found


def _values(text, wanted):
    at, separator = None, "\t"
    for line in text.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            yield tuple(row.get(name) for name in wanted)
        elif line.startswith("#fields"):
            fields = line.split(separator)[1:]
            at = [fields.index(name) if name in fields else None for name in wanted]
        elif not line.startswith("#") and at is not None:
            values = line.split(separator)
            found = [values[it] if it is not None and len(values) > it else None for it in at]
            yield tuple(None if value == "-" else value for value in found)


def rows(root, log, wanted, but=()):
    """Tuples of the `wanted` fields of each record of `log`, with the file; logs whose name begins
    with one of `but` are left out."""
    root, archives = Path(root), {}
    with open(root / "MANIFEST.csv", newline="") as file:
        logs = [row["file"] for row in csv.DictReader(file) if row["log"] == log]
    for name in logs:
        if not name.startswith(tuple(but)) or not but:
            text = _bytes(root, name, archives).decode("utf-8", "replace")
            for values in _values(text, wanted):
                yield name, values
