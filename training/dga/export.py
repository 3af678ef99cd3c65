"""The network as ONNX: 64 rows a call, fixed, and the calibrated probability of each."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import model, trees

ROWS = 64
OPSET = 17
WIDTHS = {"label": 64, "suffix": 4, "measures": model.MEASURES}
LENGTH = model.LENGTH + 2
# Added to what stands outside of the label: the greater of this and 0 is nothing.
OUTSIDE = -1e6


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
    """As `model.known`: each place with its neighbours, `[rows * length, 3 * tables]`; the summary."""
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
        # One place more at both ends, for the neighbours.
        padded = g.op("Pad", value, g.ints(0, 1, 0, LENGTH - width + 1))
        channels.append(g.op("Unsqueeze", padded, g.ints(2)))
    wide = g.op("Concat", *channels, axis=2)
    near = g.op("Concat", *(g.slice(wide, at, at + LENGTH) for at in range(3)), axis=2)
    near = g.op("Reshape", near, g.ints(ROWS * LENGTH, 3 * len(cells)))
    return inside, near, g.op("Concat", *parts, axis=1)


def first(g, members, tokens, near):
    """The first convolution of all members, side by side: `[rows, length, channels]`.

    Of characters it is a sum of rows of tables, one for each place near.
    """
    width, tables, told, bias = model.CHARACTERS, [], [], []
    for p in members:
        emb, out = p["emb"].shape[1], p["w1"].shape[1]
        weights = p["w1"].reshape(3, -1, out)
        rows = np.zeros((3, width + 1, out), np.float32)  # the last row: before the beginning
        rows[:, :width] = np.einsum("ce,neo->nco", p["emb"], weights[:, :emb])
        rows[1, 0] = OUTSIDE
        tables.append(rows)
        told.append(weights[:, emb:].reshape(-1, out))
        bias.append(p["b1"])
    tables = np.concatenate(tables, axis=2)
    nowhere = g.const(np.full((ROWS, 1), width), np.int32)
    before = g.op("Concat", nowhere, g.slice(tokens, 0, LENGTH - 1), axis=1)
    after = g.op("Concat", g.slice(tokens, 1, LENGTH), nowhere, axis=1)
    parts = [
        g.op("Gather", g.const(tables[at]), ids) for at, ids in enumerate((before, tokens, after))
    ]
    weights = np.concatenate(told, axis=1)
    told = g.op("Gemm", near, g.const(weights), g.const(np.concatenate(bias)))
    parts.append(g.op("Reshape", told, g.ints(ROWS, LENGTH, weights.shape[1])))
    return g.op("Relu", g.op("Sum", *parts))


def second(g, p, x, outside):
    """The second convolution, over half the places."""
    inner, out = p["w1"].shape[1], p["w2"].shape[1]
    half = LENGTH // 2
    wide = g.op("Pad", x, g.ints(0, 1, 0, 0, 1, 0))
    near = [g.slice(wide, at, at + half) for at in range(3)]
    near = g.op("Concat", *near, outside, axis=2)
    near = g.op("Reshape", near, g.ints(ROWS * half, 3 * inner + 1))
    weights = np.concatenate([p["w2"], np.full((1, out), OUTSIDE, np.float32)])
    y = g.op("Relu", g.op("Gemm", near, g.const(weights), g.const(p["b2"])))
    return g.op("Reshape", y, g.ints(ROWS, half, out))


def convolved(g, members, tokens, inside, near):
    """Of each member, the greatest and the mean of both convolutions."""
    half = LENGTH // 2
    mask = g.op("ReduceMax", g.op("Reshape", inside, g.ints(ROWS, half, 2)), axes=[2], keepdims=1)
    size, half_size = g.op("ReduceSum", inside, g.ints(1), keepdims=1), g.total(mask, 1)
    outside = g.op("Sub", g.const(1.0), mask)
    x = first(g, members, tokens, near)
    widths = [p["w1"].shape[1] for p in members]
    halved = g.op("Reshape", x, g.ints(ROWS * half, 2, sum(widths)))
    halved = g.op("ReduceMax", halved, axes=[1], keepdims=0)
    halved = g.op("Reshape", halved, g.ints(ROWS, half, sum(widths)))
    top = g.op("ReduceMax", halved, axes=[1], keepdims=0)
    mean = g.op("Div", g.total(x, 1), size)
    out, start = [], 0
    for p, width in zip(members, widths):
        end = start + width
        y = second(g, p, g.slice(halved, start, end, axis=2), outside)
        out.append([
            g.slice(top, start, end),
            g.slice(mean, start, end),
            g.op("ReduceMax", y, axes=[1], keepdims=0),
            g.op("Div", g.total(y, 1), half_size),
        ])
        start = end
    return out


def logit(g, p, parts, suffix):
    """The logit of one member."""
    place = [
        g.op("Gather", g.half(p[name]), ids) for name, ids in zip(("suffix", "top", "kind"), suffix)
    ]
    x = g.op("Concat", *parts, *place, "measures", axis=1)
    x = g.op("Relu", g.op("Gemm", x, g.const(p["wh"]), g.const(p["bh"])))
    return g.op("Gemm", x, g.const(p["wl"]), g.const(p["bl"]))


def ensemble(g, text, measures, summary):
    """The logit of the boosted trees."""
    g.count += 1
    out = f"v{g.count}"
    rows = g.op("Concat", measures, summary, axis=1)
    node = helper.make_node(
        "TreeEnsembleRegressor", [rows], [out], domain="ai.onnx.ml", **trees.attributes(text)
    )
    g.nodes.append(node)
    return out


def build(members, tables, text, slope, offset):
    """The mean of what networks and trees say, calibrated."""
    g = Graph()
    begin = g.const(np.full((ROWS, 1), model.BEGIN), np.int32)
    end = g.const(np.zeros((ROWS, 1)), np.int32)
    tokens = g.op("Concat", begin, g.slice("label", 0, model.LENGTH), end, axis=1)
    ids = [g.op("Squeeze", g.slice("suffix", at, at + 1), g.ints(1)) for at in range(3)]
    inside, near, summary = known(g, tables, tokens, g.slice("suffix", 1, 2))
    seen = convolved(g, members, tokens, inside, near)
    logits = [logit(g, p, [summary, *parts], ids) for p, parts in zip(members, seen)]
    total = g.op("Mul", g.op("Sum", *logits), g.const(1 / len(members)))
    total = g.op("Add", total, ensemble(g, text, "measures", summary))
    line = g.op("Add", g.op("Mul", total, g.const(slope / 2)), g.const(offset))
    g.nodes.append(helper.make_node("Sigmoid", [line], ["column"]))
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
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=8,
        producer_name="zeek-ueba",
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
