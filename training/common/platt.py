"""Platt's line: from logits to probabilities at a prior."""

import numpy as np


def _loss(line, x, label, weights):
    logit = x @ line
    return np.sum(weights * (np.logaddexp(0, logit) - label * logit))


def fit(logits, label, weights):
    """Slope and offset that make `weights`-weighted log loss least: Newton's steps, each halved until
    it does not lead up."""
    line = np.array([1.0, np.log(np.average(label, weights=weights))])
    x = np.stack([logits.astype(float), np.ones(len(logits))], 1)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ line, -500, 500)))
        gradient = x.T @ (weights * (p - label))
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        before = _loss(line, x, label, weights)
        while _loss(line - step, x, label, weights) > before + 1e-12 and np.abs(step).max() > 1e-9:
            step /= 2
        line -= step
    return float(line[0]), float(line[1])


def weighed(label, group, prior):
    """Weights that make positives a share of `prior`, and the groups of a class alike."""
    out = np.zeros(len(label))
    for value, share in ((0, 1 - prior), (1, prior)):
        groups, sizes = np.unique(group[label == value], return_counts=True)
        for name, size in zip(groups, sizes):
            out[(label == value) & (group == name)] = share / len(groups) / size
    return out
