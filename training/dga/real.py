"""Names that were really asked for: the `query` of every dns.log below `zeek/`."""

from common import logs


def read(root):
    """Distinct names in order, with how often each was asked for."""
    names = {}
    for _, (name,) in logs.rows(root, "dns", ["query"]):
        if name:
            names[name] = names.get(name, 0) + 1
    return dict(sorted(names.items()))
