"""What the protocol asks: AUC, and the share found at a share of false alarms, of pairings and of
all together, with intervals by drawing registered domains anew."""

import numpy as np

RATES = (1e-2, 1e-3)
RESAMPLES = 200


def ranks(score, label):
    """The share of a pairing's own benign rows below each row, ties counting half."""
    benign = np.sort(score[label == 0])
    return (np.searchsorted(benign, score, "left") + np.searchsorted(benign, score, "right")) / (
        2 * len(benign)
    )


def figures(score, label, weights=None):
    """AUC, and at each rate the share found; rows count as `weights` says."""
    weights = np.ones(len(score)) if weights is None else weights
    order = np.argsort(score[label == 0], kind="stable")
    benign, mass = score[label == 0][order], weights[label == 0][order]
    found, share = score[label == 1], weights[label == 1]
    below = np.concatenate([[0], np.cumsum(mass)])
    at = below[np.searchsorted(benign, found, "left")]
    to = below[np.searchsorted(benign, found, "right")]
    out = [float(np.average((at + to) / 2 / below[-1], weights=share))]
    above = mass[::-1].cumsum() / below[-1]
    for rate in RATES:
        # At most `rate` of the benign rows are above the limit.
        limit = benign[::-1][min(np.searchsorted(above, rate, "right"), len(benign) - 1)]
        out.append(float(np.average(found > limit, weights=share)))
    return out


def pooled(parts):
    """Figures of pairings together; `parts` are score and label of each."""
    score = np.concatenate([ranks(score, label) for score, label in parts])
    return figures(score, np.concatenate([label for _, label in parts]))


def interval(score, label, domain, seed=9):
    """95 % intervals of the figures, by drawing registered domains anew."""
    _, place = np.unique(domain, return_inverse=True)
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        weights = rng.poisson(1.0, place.max() + 1).astype(float)[place]
        if weights[label == 0].sum() > 0 and weights[label == 1].sum() > 0:
            drawn.append(figures(score, label, weights))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return low.tolist(), high.tolist()


def row(score, label, domain):
    """Figures with their intervals and counts."""
    low, high = interval(score, label, domain)
    return {
        "found": int((label == 1).sum()),
        "benign": int((label == 0).sum()),
        "figures": figures(score, label),
        "low": low,
        "high": high,
    }
