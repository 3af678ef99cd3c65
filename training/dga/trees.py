"""Boosted trees over measures and what is known of the n-grams: a second opinion of another kind."""

import jax.numpy as jnp
import lightgbm
import numpy as np

from . import model

ROWS = 400_000
TREES = 120
SETTINGS = {
    "objective": "binary",
    "num_leaves": 48,
    "max_depth": 7,
    "learning_rate": 0.13,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def summaries(columns, tables):
    """What is told of all n-grams of each label, in pieces."""
    out = []
    tables = {name: jnp.asarray(table) for name, table in tables.items()}
    for start in range(0, len(columns[0]), 1 << 16):
        part = slice(start, start + (1 << 16))
        tokens = model.with_ends(jnp, jnp.asarray(columns[0][part]))
        own = jnp.asarray(columns[4][part])
        out.append(np.asarray(model.known(tables, tokens, jnp.asarray(columns[1][part, 1]), own)[1]))
    return np.concatenate(out)


def seen(columns, tables):
    """What the trees see of each row."""
    return np.concatenate([columns[2], summaries(columns, tables)], axis=1)


def fit(rows, columns, weights, seed, trees=TREES):
    """A booster on rows drawn by their weights."""
    total = np.cumsum(weights)
    draws = np.random.default_rng(seed).random(ROWS) * total[-1] * (1 - 1e-9)
    drawn = np.searchsorted(total, draws)
    data = lightgbm.Dataset(rows[drawn], columns[3][drawn])
    return lightgbm.train(SETTINGS | {"seed": seed}, data, trees)
