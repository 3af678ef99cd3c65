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


def _nodes(tree):
    """The nodes of a tree, each after its parent."""
    open_, out = [tree], []
    while open_:
        node = open_.pop()
        out.append(node)
        open_ += [node[side] for side in ("right_child", "left_child") if side in node]
    return out


def _limit(value):
    """The greatest 32-bit float that is not above: `x <= value` stays what it is."""
    limit = np.float32(value)
    return limit if limit <= value else np.nextafter(limit, np.float32(-np.inf))


def attributes(text):
    """A booster's text as the attributes of ONNX's TreeEnsembleRegressor."""
    out = {name: [] for name in (
        "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values",
        "nodes_truenodeids", "nodes_falsenodeids", "nodes_hitrates",
        "nodes_missing_value_tracks_true", "target_treeids", "target_nodeids", "target_ids",
        "target_weights",
    )}
    for number, tree in enumerate(lightgbm.Booster(model_str=text).dump_model()["tree_info"]):
        nodes = _nodes(tree["tree_structure"])
        place = {id(node): at for at, node in enumerate(nodes)}
        for at, node in enumerate(nodes):
            leaf = "leaf_value" in node
            out["nodes_treeids"].append(number)
            out["nodes_nodeids"].append(at)
            out["nodes_featureids"].append(0 if leaf else node["split_feature"])
            out["nodes_modes"].append("LEAF" if leaf else "BRANCH_LEQ")
            out["nodes_values"].append(0.0 if leaf else float(_limit(node["threshold"])))
            out["nodes_truenodeids"].append(0 if leaf else place[id(node["left_child"])])
            out["nodes_falsenodeids"].append(0 if leaf else place[id(node["right_child"])])
            out["nodes_hitrates"].append(1.0)
            out["nodes_missing_value_tracks_true"].append(0)
            if leaf:
                out["target_treeids"].append(number)
                out["target_nodeids"].append(at)
                out["target_ids"].append(0)
                out["target_weights"].append(float(node["leaf_value"]))
    return out | {"n_targets": 1}
