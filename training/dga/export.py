"""The network as ONNX: 64 rows a call, fixed, and the calibrated probability of each."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import model

ROWS = 64
OPSET = 17
WIDTHS = {"label": 64, "suffix": 4, "measures": model.MEASURES}
LENGTH = model.LENGTH + 2


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


def places(g, tokens, top):
    """As `model.places`, with masks in numbers."""
    step, cells = g.const(np.int32(model.STEP), np.int32), g.const(np.int32(model.CELLS), np.int32)

    def following(ids, token):
        return g.op("Mod", g.op("Add", g.op("Mul", ids, step), token), cells)

    zero = g.const(np.int32(0), np.int32)
    inside = g.op("Cast", g.op("Greater", tokens, zero), to=TensorProto.FLOAT)
    last = g.op("Concat", g.const(np.ones((ROWS, 1))), g.slice(inside, 0, LENGTH - 1), axis=1)
    ids, out = tokens, {}
    for n in range(2, 7):
        width = LENGTH - n + 1
        ids = following(g.slice(ids, 0, width), g.slice(tokens, n - 1, LENGTH))
        if n >= 3:
            out[str(n)] = (ids, g.slice(last, n - 1, LENGTH), width)
    out["top"] = (following(out["3"][0], top), *out["3"][1:])
    return inside, out


def known(g, tables, tokens, top):
    """As `model.known`: `[rows, tables, length]`, and the summary."""
    inside, cells = places(g, tokens, top)
    channels, parts = [], []
    for name, (ids, mask, width) in cells.items():
        bits = np.log2(1 + tables[name].astype(np.float64))
        code = g.const(np.where(tables[name] >= 2, np.rint(16 * bits), 0), np.uint8)
        value = g.op("Cast", g.op("Gather", code, ids), to=TensorProto.FLOAT)
        value = g.op("Mul", g.op("Mul", value, g.const(1 / 128)), mask)
        total = g.op("Max", g.op("ReduceSum", mask, g.ints(1), keepdims=1), g.const(1.0))
        outside = g.op("Mul", g.op("Sub", g.const(1.0), mask), g.const(2.0))
        nothing = g.op("Cast", g.op("Equal", value, g.const(0.0)), to=TensorProto.FLOAT)
        parts.append(g.op("Div", g.op("ReduceSum", value, g.ints(1), keepdims=1), total))
        parts.append(g.op("ReduceMin", g.op("Add", value, outside), axes=[1], keepdims=1))
        unknown = g.op("ReduceSum", g.op("Mul", nothing, mask), g.ints(1), keepdims=1)
        parts.append(g.op("Div", unknown, total))
        padded = g.op("Pad", value, g.ints(0, 0, 0, LENGTH - width))
        channels.append(g.op("Unsqueeze", padded, g.ints(1)))
    return inside, g.op("Concat", *channels, axis=1), g.op("Concat", *parts, axis=1)


def kernel(weights, channels):
    """Of products of shifted copies, the weights of a convolution: `[out, in, 3]`.

    One channel more, which is 1 outside of the label, puts out what is there: cheaper than a product
    with a mask.
    """
    out = weights.reshape(3, channels, -1).transpose(2, 1, 0)
    outside = np.zeros((len(out), 1, 3), np.float32)
    outside[:, :, 1] = -1e6
    return np.concatenate([out, outside], axis=1)


def member(g, p, tokens, inside, channels, summary, suffix, measures):
    """The logit of one network."""
    mask = g.op("Unsqueeze", inside, g.ints(1))
    size = g.op("ReduceSum", inside, g.ints(1), keepdims=1)
    x = g.op("Transpose", g.op("Gather", g.const(p["emb"]), tokens), perm=[0, 2, 1])
    x = g.op("Concat", x, channels, axis=1)
    parts = [summary]
    for at in ("1", "2"):
        w = kernel(p[f"w{at}"], p[f"w{at}"].shape[0] // 3)
        x = g.op("Concat", x, g.op("Sub", g.const(1.0), mask), axis=1)
        x = g.op("Conv", x, g.const(w), g.const(p[f"b{at}"]), kernel_shape=[3], pads=[1, 1])
        x = g.op("Relu", x)
        parts.append(g.op("ReduceMax", x, axes=[2], keepdims=0))
        parts.append(g.op("Div", g.total(x, 2), size))
        if at == "1":
            x = g.op("MaxPool", x, kernel_shape=[2], strides=[2])
            mask = g.op("MaxPool", mask, kernel_shape=[2], strides=[2])
            size = g.total(mask, 2)
    for name, ids in zip(("suffix", "top", "kind"), suffix):
        parts.append(g.op("Gather", g.half(p[name]), ids))
    x = g.op("Concat", *parts, measures, axis=1)
    x = g.op("Relu", g.op("Gemm", x, g.const(p["wh"]), g.const(p["bh"])))
    return g.op("Gemm", x, g.const(p["wl"]), g.const(p["bl"]))


def build(members, tables, slope, offset):
    """The mean of the members' logits, calibrated."""
    g = Graph()
    begin = g.const(np.full((ROWS, 1), model.BEGIN), np.int32)
    end = g.const(np.zeros((ROWS, 1)), np.int32)
    tokens = g.op("Concat", begin, g.slice("label", 0, model.LENGTH), end, axis=1)
    ids = [g.op("Squeeze", g.slice("suffix", at, at + 1), g.ints(1)) for at in range(3)]
    inside, channels, summary = known(g, tables, tokens, g.slice("suffix", 1, 2))
    logits = [member(g, p, tokens, inside, channels, summary, ids, "measures") for p in members]
    total = logits[0] if len(logits) == 1 else g.op("Sum", *logits)
    logit = g.op("Add", g.op("Mul", total, g.const(slope / len(members))), g.const(offset))
    g.nodes.append(helper.make_node("Sigmoid", [logit], ["column"]))
    g.weights.append(numpy_helper.from_array(np.array([ROWS], np.int64), "rows"))
    g.nodes.append(helper.make_node("Reshape", ["column", "rows"], ["probability"]))
    kinds = {"label": TensorProto.INT32, "suffix": TensorProto.INT32, "measures": TensorProto.FLOAT}
    inputs = [
        helper.make_tensor_value_info(name, kinds[name], [ROWS, width])
        for name, width in WIDTHS.items()
    ]
    output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [ROWS])
    graph = helper.make_graph(g.nodes, "dga", inputs, [output], g.weights)
    out = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="zeek-ueba"
    )
    onnx.checker.check_model(out, full_check=True)
    return out


def score(session, columns):
    """Probabilities of rows of `[label, suffix, measures]`, 64 a call as they are served."""
    total = len(columns[0])
    out = np.zeros(total, np.float32)
    for start in range(0, total, ROWS):
        part = [column[start : start + ROWS] for column in columns]
        missing = ROWS - len(part[0])
        if missing:
            part = [np.pad(column, ((0, missing), (0, 0))) for column in part]
        got = session.run(None, dict(zip(WIDTHS, part)))[0]
        out[start : start + ROWS] = got[: total - start]
    return out
