"""What the protocol asks: AUC, and the share found at a share of false alarms, with intervals."""

import numpy as np

RATES = (1e-2, 1e-3)
RESAMPLES = 1000


def auc_of_each(positive, negative):
    """For each positive the share of negatives below it."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left")
    equal = np.searchsorted(order, positive, "right") - below
    return (below + equal / 2) / len(order)


def threshold(negative, rate):
    """The least score that at most `rate` of the negatives exceed."""
    order = np.sort(negative)[::-1]
    return order[min(len(order) - 1, int(rate * len(order)))]


def by_family(scores, table, rows):
    """Size, AUC and shares found of each family, against all benign names."""
    label, family = table["label"][rows], table["family"][rows]
    negative = scores[label == 0]
    limits = [threshold(negative, rate) for rate in RATES]
    out = {}
    for name in np.unique(family[label == 1]):
        chosen = family == name
        found = scores[chosen]
        out[str(name)] = {
            "kind": str(table["type"][rows][chosen][0]),
            "dictionary": bool(table["dictionary"][rows][chosen][0]),
            "rows": int(chosen.sum()),
            "auc": float(auc_of_each(found, negative).mean()),
            "found": [float((found > limit).mean()) for limit in limits],
        }
    return out, limits


def figures(families):
    """AUC, and at each rate the share of all rows and the mean over families."""
    rows = np.array([family["rows"] for family in families], float)
    auc = np.array([family["auc"] for family in families])
    found = np.array([family["found"] for family in families])
    out = [float(np.average(auc, weights=rows))]
    for at in range(len(RATES)):
        out += [float(np.average(found[:, at], weights=rows)), float(found[:, at].mean())]
    return out


def table(families, seed=8):
    """The rows of the protocol's table, each figure with its interval by drawing families anew."""
    rng, out = np.random.default_rng(seed), {}
    parts = {
        "pooled": list(families.values()),
        "not dictionary": [family for family in families.values() if not family["dictionary"]],
        "dictionary": [family for family in families.values() if family["dictionary"]],
    }
    for part, chosen in parts.items():
        draws = rng.integers(0, len(chosen), (RESAMPLES, len(chosen)))
        resampled = np.array([figures([chosen[at] for at in draw]) for draw in draws])
        low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
        out[part] = {
            "rows": sum(family["rows"] for family in chosen),
            "figures": figures(chosen),
            "low": low.tolist(),
            "high": high.tolist(),
        }
    return out
