"""Names that were really asked for: the `query` of every dns.log below `zeek/`."""

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


def _queries(text):
    at, separator = None, "\t"
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line).get("query")
        elif line.startswith("#fields"):
            fields = line.split(separator)[1:]
            at = fields.index("query") if "query" in fields else None
        elif not line.startswith("#") and at is not None:
            values = line.split(separator)
            yield values[at] if len(values) > at else None


def read(root):
    """Distinct names in order, with how often each was asked for."""
    root, archives, names = Path(root), {}, {}
    with open(root / "MANIFEST.csv", newline="") as file:
        logs = [row["file"] for row in csv.DictReader(file) if row["log"] == "dns"]
    for log in logs:
        text = _bytes(root, log, archives).decode("utf-8", "replace")
        for name in _queries(text):
            if name and name != "-":
                names[name] = names.get(name, 0) + 1
    return dict(sorted(names.items()))
