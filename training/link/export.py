"""Trees, network and linear model as one graph of ONNX, with the calibrated probability."""

import numpy as np
from onnx import TensorProto

from common import graph
from common.graph import ROWS

from . import data, model


def cells_of(g, part):
    """As `model.bag`: the cells, and whether they are there."""
    modulus = g.const(np.int32(model.CELLS[part]), np.int32)
    zero = g.const(np.int32(0), np.int32)
    if part not in model.GRAMS:
        return g.op("Mod", part, modulus), g.op("Greater", part, zero)
    length, sizes = model.GRAMS[part]
    step = g.const(np.int32(model.STEP), np.int32)
    begin = g.const(np.full((ROWS, 1), model.BEGIN), np.int32)
    end = g.const(np.zeros((ROWS, 1)), np.int32)
    tokens = g.op("Concat", begin, g.slice(part, 0, length), end, axis=1)
    inside = g.op("Greater", tokens, zero)
    # Of nothing there are none, not even begin and end.
    inside = g.op("And", inside, g.slice(inside, 1, 2))
    width, ids, cells, masks = length + 2, tokens, [], []
    for n in range(2, max(sizes) + 1):
        width -= 1
        ids = g.op("Mul", g.slice(ids, 0, width), step)
        ids = g.op("Mod", g.op("Add", ids, g.slice(tokens, n - 1, length + 2)), modulus)
        if n in sizes:
            cells.append(ids)
            masks.append(g.slice(inside, n - 2, length + 1))
    return g.op("Concat", *cells, axis=1), g.op("Concat", *masks, axis=1)


def bag(g, part, table):
    """As `model.summed`: of each column of the table, the sum over the root of the size. What is not
    there is looked up in a row of zeros."""
    cells, mask = cells_of(g, part)
    cells = g.op("Where", mask, cells, g.const(np.int32(model.CELLS[part]), np.int32))
    rows = np.concatenate([table, np.zeros((1, table.shape[1]), np.float32)])
    total = g.total(g.op("Gather", g.half(rows), cells), 1)
    count = g.op("ReduceSum", g.op("Cast", mask, to=TensorProto.FLOAT), g.ints(1), keepdims=1)
    return g.op("Div", total, g.op("Sqrt", g.op("Max", count, g.const(1.0))))


def build(task, p, text, line, names):
    """The model: trees, network and linear model as the task weighs them, then Platt's line;
    `names` are those of the measures."""
    g, dim = graph.Graph(), p["suffix"].shape[1]
    parts, linear = [], []
    for part in model.CELLS:
        # The network has its sums times 3.
        table = np.concatenate([3 * p[f"e_{part}"], p[f"l_{part}"][:, None]], axis=1)
        out = bag(g, part, table)
        parts.append(g.slice(out, 0, dim))
        linear.append(g.slice(out, dim, dim + 1))
    suffix, _, kind = (g.op("Squeeze", g.slice("suffix", at, at + 1), g.ints(1)) for at in range(3))
    parts.append(g.op("Gather", g.half(p["suffix"]), suffix))
    parts.append(g.op("Gather", g.const(p["kind"]), kind))
    linear.append(g.op("Gather", g.half(p["l_suffix"][:, None]), suffix))
    measures, places = "measures", data.seen(names, task)
    if len(places) < len(names):
        measures = g.op("Gather", "measures", g.ints(*places), axis=1)
    x = g.op("Concat", *parts, measures, axis=1)
    x = g.op("Relu", g.op("Gemm", x, g.const(p["w1"]), g.const(p["b1"])))
    x = g.op("Relu", g.op("Gemm", x, g.const(p["w2"]), g.const(p["b2"])))
    network = g.op("Gemm", x, g.const(p["w3"]), g.const(p["b3"]))
    linear = g.op("Add", g.op("Sum", *linear), g.const(p["l_bias"]))
    linear = g.op("Max", linear, g.const(task.floor))
    trees = g.trees(text, measures)
    slope, offset = line
    said = [
        g.op("Mul", logit, g.const(slope * share))
        for logit, share in zip((trees, network, linear), task.sum)
    ]
    at = names.index("address")
    address = g.op("Mul", g.slice("measures", at, at + 1), g.const(slope * task.address))
    g.probability(g.op("Add", g.op("Sum", *said, address), g.const(offset)))
    return g.model(task.detector, data.WIDTHS)


def score(served, columns):
    """Probabilities of rows of the columns of `data.Urls`."""
    kinds = {"i32": np.int32, "f32": np.float32}
    total = len(columns["measures"])
    out = np.zeros(total, np.float32)
    for start in range(0, total, 1 << 15):
        part = slice(start, start + (1 << 15))
        wide = {name: columns[name][part].astype(kinds[kind]) for name, (kind, _) in data.WIDTHS.items()}
        out[part] = graph.score(served, wide)
    return out
