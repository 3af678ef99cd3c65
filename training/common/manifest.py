"""`models.toml`: a table for each detector, each written by its own training and left alone by the
others."""

import hashlib
import re

HEAD = "# Written by training/: what each model is, and what has to be as it was trained.\n"


def inputs(widths):
    """The inputs as the list has them."""
    rows = ", ".join(
        f'{{ name = "{name}", element = "{kind}", width = {width} }}'
        for name, (kind, width) in widths.items()
    )
    return f"inputs = [{rows}]"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path, detector, text):
    """Puts `text`, the tables of `detector`, in the place of those that are there; in order."""
    old = path.read_text() if path.exists() else ""
    tables = {}
    for part in re.split(r"^(?=\[[a-z-]+\]$)", old, flags=re.M)[1:]:
        tables[re.match(r"\[([a-z-]+)\]", part).group(1)] = part.strip() + "\n"
    tables[detector] = text.strip() + "\n"
    path.write_text(HEAD + "".join(f"\n{tables[name]}" for name in sorted(tables)))
