"""The network: bags of hashed n-grams and words of host and path, and measures; beside it a linear
model of the same bags.

A bag is the sum of the rows of a table, one for each n-gram and word, over the root of their number.
In training parts of a bag are left out, and whole paths where the task says so, so that no source is
known by a few of its habits.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

BEGIN = 75  # ids of `zeek-ueba features phishing` are below; 0 is the end
STEP = 1021  # ids stay below 2^31 when they are multiplied by it
SUFFIXES, KINDS = 4096, 4

# The bags: of n-grams, with the characters that are read and the sizes; of words. And the cells of
# the table of each.
GRAMS = {"host": (48, (3, 4, 5)), "path": (96, (2, 3, 4))}
CELLS = {"host": 1 << 16, "path": 1 << 16, "host_words": 1 << 15, "path_words": 1 << 15}
# What is cut off where the path is.
OF_PATH = ("path", "path_words")

CONFIG = dict(
    dim=6, hidden=64, second=32, drop=0.3, measures_drop=0.15, smooth=0.01, rate=6e-3, steps=900,
    batch=1024, suffix_drop=0.15, linear_decay=1e-6,
)


def bag(xp, part, columns):
    """The cells of a bag and 1 for those that are there, `[rows, n-grams or words]`."""
    cells = CELLS[part]
    if part not in GRAMS:
        found = columns[part].astype(xp.int32)
        return found % cells, (found > 0).astype(xp.float32)
    length, sizes = GRAMS[part]
    chars = columns[part][:, :length].astype(xp.int32)
    batch = chars.shape[0]
    begin, end = xp.full((batch, 1), BEGIN, xp.int32), xp.zeros((batch, 1), xp.int32)
    tokens = xp.concatenate([begin, chars, end], axis=1)
    inside = (tokens > 0).astype(xp.float32)
    # The last character of an n-gram is there, or the end itself; of nothing there are none.
    last = xp.concatenate([xp.zeros((batch, 1), xp.float32), inside[:, :-1]], axis=1)
    last = last * inside[:, 1:2]
    ids, found, masks = tokens, [], []
    for n in range(2, max(sizes) + 1):
        ids = (ids[:, :-1] * STEP + tokens[:, n - 1 :]) % cells
        if n in sizes:
            found.append(ids)
            masks.append(last[:, n - 1 :])
    return xp.concatenate(found, axis=1), xp.concatenate(masks, axis=1)


def init(c, seed, measures):
    """Weights before training."""
    rng = np.random.default_rng(seed)

    def dense(rows, columns, gain=2.0):
        return (rng.standard_normal((rows, columns)) * np.sqrt(gain / rows)).astype(np.float32)

    def table(rows, columns):
        return (rng.standard_normal((rows, columns)) * 0.05).astype(np.float32)

    def zeros(*shape):
        return np.zeros(shape, np.float32)

    width = len(CELLS) * c["dim"] + c["dim"] + 2 + measures
    out = {f"e_{part}": table(cells, c["dim"]) for part, cells in CELLS.items()}
    out |= {f"l_{part}": zeros(cells) for part, cells in CELLS.items()}
    return out | {
        "suffix": table(SUFFIXES, c["dim"]),
        "kind": table(KINDS, 2),
        "l_suffix": zeros(SUFFIXES),
        "l_bias": zeros(1),
        "w1": dense(width, c["hidden"]),
        "b1": zeros(c["hidden"]),
        "w2": dense(c["hidden"], c["second"]),
        "b2": zeros(c["second"]),
        "w3": dense(c["second"], 1, 1.0),
        "b3": zeros(1),
    }


def summed(table, cells, mask):
    """The sum of a bag over the root of its size."""
    size = jnp.sqrt(jnp.maximum(jnp.sum(mask, 1), 1))
    values = table[cells]
    if values.ndim == 2:
        return jnp.sum(values * mask, 1) / size
    return jnp.sum(values * mask[:, :, None], 1) / size[:, None]


def forward(p, c, columns, empty, key=None):
    """The logits of network and linear model; `empty` marks measures of the path, and gives those of
    none."""
    suffix = columns["suffix"].astype(jnp.int32)
    measures = columns["measures"]
    batch = measures.shape[0]
    keys = None if key is None else jax.random.split(key, 3 + len(CELLS))

    def kept(at, rate, shape):
        return jax.random.bernoulli(keys[at], 1 - rate, shape).astype(jnp.float32)

    uncut = jnp.ones((batch, 1)) if keys is None else kept(0, c["cut"] / 2, (batch, 1))
    is_path, none = empty
    measures = jnp.where((uncut == 0) & is_path[None], none[None], measures)
    parts, linear = [], p["l_suffix"][suffix[:, 0]] + p["l_bias"][0]
    for at, part in enumerate(CELLS):
        cells, mask = bag(jnp, part, columns)
        mask = mask * uncut if part in OF_PATH else mask
        linear += summed(p[f"l_{part}"], cells, mask)
        if keys is not None:
            mask = mask * kept(3 + at, c["drop"], mask.shape)
        parts.append(3 * summed(p[f"e_{part}"], cells, mask))
    place = jnp.concatenate([p["suffix"][suffix[:, 0]], p["kind"][suffix[:, 2]]], 1)
    if keys is not None:
        place = place * kept(1, c["suffix_drop"], (batch, 1))
        measures = measures * kept(2, c["measures_drop"], measures.shape)
    x = jnp.concatenate([*parts, place, measures], 1)
    x = jax.nn.relu(x @ p["w1"] + p["b1"])
    x = jax.nn.relu(x @ p["w2"] + p["b2"])
    return (x @ p["w3"] + p["b3"])[:, 0], linear


def loss(p, c, columns, label, empty, key):
    network, linear = forward(p, c, columns, empty, key)
    target = label * (1 - 2 * c["smooth"]) + c["smooth"]

    def of(logit):
        return jnp.mean(jnp.logaddexp(0, logit) - target * logit)

    decay = sum(jnp.sum(p[name] ** 2) for name in p if name.startswith("l_"))
    return of(network) + of(linear) + c["linear_decay"] * decay


def step(state, columns, label, empty, c):
    """One step of Adam."""
    p, m, v, count, key = state
    key, used = jax.random.split(key)
    grads = jax.grad(loss)(p, c, columns, label, empty, used)
    count += 1
    share = count / c["steps"]
    rate = c["rate"] * jnp.minimum(1, share * 20) * (0.5 + 0.5 * jnp.cos(jnp.pi * share))
    tree = jax.tree_util.tree_map
    m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = tree(lambda v, g: 0.99 * v + 0.01 * g * g, v, grads)
    fix1, fix2 = 1 - 0.9**count, 1 - 0.99**count
    p = tree(lambda p, m, v: p - rate * (m / fix1 / (jnp.sqrt(v / fix2) + 1e-6)), p, m, v)
    return p, m, v, count, key


def train(c, columns, label, drawn, empty, seed):
    """Trains on the rows `drawn`, `[steps, batch]`."""
    p = jax.tree_util.tree_map(jnp.asarray, init(c, seed, columns["measures"].shape[1]))
    zeros = jax.tree_util.tree_map(jnp.zeros_like, p)
    state = (p, zeros, zeros, jnp.zeros(()), jax.random.key(seed, impl="rbg"))
    one = jax.jit(functools.partial(step, empty=empty, c=c))
    for rows in drawn:
        batch = {name: column[rows] for name, column in columns.items()}
        state = one(state, batch, label[rows].astype(np.float32))
    return jax.tree_util.tree_map(np.asarray, state[0])


def predict(p, c, columns, empty, batch=4096):
    """Logits of network and linear model of all rows."""
    total = len(columns["measures"])
    p = jax.tree_util.tree_map(jnp.asarray, p)
    run = jax.jit(lambda part: forward(p, c, part, empty))
    out = np.zeros((2, total), np.float32)
    for start in range(0, total, batch):
        rows = np.arange(start, min(start + batch, total))
        padded = np.resize(rows, batch)
        said = run({name: column[padded] for name, column in columns.items()})
        out[:, rows] = np.stack([np.asarray(logit) for logit in said])[:, : len(rows)]
    return out
