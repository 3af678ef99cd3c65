"""The network as ONNX: 64 rows a call, fixed, and the calibrated probability of each."""

import numpy as np
from onnx import TensorProto

from common import graph
from common.graph import ROWS

from . import model

WIDTHS = {"label": ("i32", 64), "suffix": ("i32", 4), "measures": ("f32", model.MEASURES)}
LENGTH = model.LENGTH + 2
# Added to what stands outside of the label: the greater of this and 0 is nothing.
OUTSIDE = -1e6


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


def build(members, tables, text, slope, offset):
    """The mean of what networks and trees say, calibrated."""
    g = graph.Graph()
    begin = g.const(np.full((ROWS, 1), model.BEGIN), np.int32)
    end = g.const(np.zeros((ROWS, 1)), np.int32)
    tokens = g.op("Concat", begin, g.slice("label", 0, model.LENGTH), end, axis=1)
    ids = [g.op("Squeeze", g.slice("suffix", at, at + 1), g.ints(1)) for at in range(3)]
    inside, near, summary = known(g, tables, tokens, g.slice("suffix", 1, 2))
    seen = convolved(g, members, tokens, inside, near)
    logits = [logit(g, p, [summary, *parts], ids) for p, parts in zip(members, seen)]
    total = g.op("Mul", g.op("Sum", *logits), g.const(1 / len(members)))
    total = g.op("Add", total, g.trees(text, "measures", summary))
    g.probability(g.op("Add", g.op("Mul", total, g.const(slope / 2)), g.const(offset)))
    return g.model("dga", WIDTHS)


def score(served, columns):
    """Probabilities of rows of `[label, suffix, measures]`."""
    return graph.score(served, dict(zip(WIDTHS, columns)))
