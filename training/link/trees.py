"""Boosted trees over measures: a second opinion of another kind."""

import lightgbm
import numpy as np

TREES = 200
SETTINGS = {
    "objective": "binary",
    "num_leaves": 31,
    "max_depth": 7,
    "learning_rate": 0.08,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 10,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def fit(measures, label, weights, empty, cut, seed):
    """A booster; of each row the share of `cut` is learned once more without its path: `empty` marks
    measures of that, and gives those of none."""
    is_path, none = empty
    rng = np.random.default_rng(seed)
    cut = rng.random(len(label)) < cut
    bare = np.where(is_path, none, measures[cut])
    rows = np.concatenate([measures, bare])
    labels = np.concatenate([label, label[cut]])
    weights = np.concatenate([weights, weights[cut]])
    train = lightgbm.Dataset(rows, labels.astype(float), weight=weights)
    return lightgbm.train(SETTINGS | {"seed": seed}, train, TREES)
