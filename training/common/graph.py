"""Graphs of ONNX: nodes and weights by name, boosted trees, and the model that is served."""

import lightgbm
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROWS = 64
OPSET = 17
KINDS = {"i32": TensorProto.INT32, "f32": TensorProto.FLOAT}


class Graph:
    """Nodes and weights, by name."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def op(self, kind, *inputs, **attributes):
        self.count += 1
        out = f"v{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def const(self, value, dtype=np.float32):
        self.count += 1
        name = f"c{self.count}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def half(self, value):
        """A table that is kept in 16 bits; ONNX Runtime widens it once, when it loads."""
        return self.op("Cast", self.const(value, np.float16), to=TensorProto.FLOAT)

    def ints(self, *values):
        return self.const(np.array(values), np.int64)

    def slice(self, x, start, end, axis=1):
        return self.op("Slice", x, self.ints(start), self.ints(end), self.ints(axis))

    def total(self, x, axis):
        return self.op("ReduceSum", x, self.ints(axis), keepdims=0)

    def trees(self, text, *columns):
        """The sum of boosted trees, of a booster's text, over columns side by side."""
        self.count += 1
        out, rows = f"v{self.count}", self.op("Concat", *columns, axis=1)
        self.nodes.append(helper.make_node(
            "TreeEnsembleRegressor", [rows], [out], domain="ai.onnx.ml", **attributes(text)
        ))
        return out

    def probability(self, logit):
        """The output of the model: `logit` is `[rows, 1]`."""
        self.nodes.append(helper.make_node("Sigmoid", [logit], ["column"]))
        self.weights.append(numpy_helper.from_array(np.array([ROWS], np.int64), "rows"))
        self.nodes.append(helper.make_node("Reshape", ["column", "rows"], ["probability"]))

    def model(self, name, widths):
        """The model; `widths` gives each input with its kind and width."""
        inputs = [
            helper.make_tensor_value_info(name, KINDS[kind], [ROWS, width])
            for name, (kind, width) in widths.items()
        ]
        output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [ROWS])
        graph = helper.make_graph(self.nodes, name, inputs, [output], self.weights)
        out = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)],
            ir_version=8,
            producer_name="zeek-ueba",
        )
        onnx.checker.check_model(out, full_check=True)
        return out


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


def session(path):
    """As it is served: one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def score(served, columns):
    """Probabilities of rows, 64 a call as they are served; `columns` has an array for each input."""
    total = len(next(iter(columns.values())))
    out = np.zeros(total, np.float32)
    for start in range(0, total, ROWS):
        part = {name: column[start : start + ROWS] for name, column in columns.items()}
        missing = ROWS - min(ROWS, total - start)
        if missing:
            part = {name: np.pad(column, ((0, missing), (0, 0))) for name, column in part.items()}
        got = served.run(None, part)[0]
        out[start : start + ROWS] = got[: total - start]
    return out
