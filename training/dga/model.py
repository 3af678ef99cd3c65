"""The network: characters of a label, how well known its n-grams are, measures, and the suffix.

What is known is counted, not learned: in how many other benign names each n-gram stands. A benign
name that was counted does not know itself, so the network learns what rarity means for names that it
has never seen. Convolutions are products of shifted copies: quick on a CPU, and several models train
side by side.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

CHARACTERS = 42  # ids of `zeek-ueba features dga`; 0 is the end, and this one the beginning:
BEGIN = 41
LENGTH = 26  # characters of a label that are read one by one; the measures are of all of it
SUFFIXES, TOPS, KINDS, MEASURES = 4096, 1024, 4, 32

# Tables of what is known: n-grams of 3 to 6 characters, and those of 3 under their top-level label.
KNOWN = ("3", "4", "5", "6", "top")
CELLS = 1 << 19
STEP = 1021  # ids stay below 2^31 when they are multiplied by it

CONFIG = dict(
    emb=24, conv1=32, conv2=64, suffix_dim=8, hidden=96,
    drop=0.1, suffix_drop=0.15, smooth=0.005, rate=5e-3, decay=1e-4, average=0.998,
)


def init(c, seed):
    """Weights before training."""
    rng = np.random.default_rng(seed)

    def dense(rows, columns, gain=2.0):
        return (rng.standard_normal((rows, columns)) * np.sqrt(gain / rows)).astype(np.float32)

    def table(rows, columns, scale=0.05):
        return (rng.standard_normal((rows, columns)) * scale).astype(np.float32)

    def zeros(size):
        return np.zeros(size, np.float32)

    place = 2 * c["suffix_dim"] + 2
    width = 3 * len(KNOWN) + 2 * c["conv1"] + 2 * c["conv2"] + place + MEASURES
    return {
        "emb": table(CHARACTERS, c["emb"], 0.25),
        "w1": dense(3 * (c["emb"] + len(KNOWN)), c["conv1"]),
        "b1": zeros(c["conv1"]),
        "w2": dense(3 * c["conv1"], c["conv2"]),
        "b2": zeros(c["conv2"]),
        "suffix": table(SUFFIXES, c["suffix_dim"]),
        "top": table(TOPS, c["suffix_dim"]),
        "kind": table(KINDS, 2),
        "wh": dense(width, c["hidden"]),
        "bh": zeros(c["hidden"]),
        "wl": dense(c["hidden"], 1, 1.0),
        "bl": zeros(1),
    }


def with_ends(xp, chars):
    """`^label$`, and zeros to the end."""
    batch = chars.shape[0]
    begin = xp.full((batch, 1), BEGIN, xp.int32)
    end = xp.zeros((batch, 1), xp.int32)
    return xp.concatenate([begin, chars[:, :LENGTH].astype(xp.int32), end], axis=1)


def size_of(name):
    return 3 if name == "top" else int(name)


def places(xp, tokens, top):
    """The cell of the n-gram that begins at each character, and whether the n-gram is inside."""
    length = tokens.shape[1]
    inside = tokens > 0
    # The last character of an n-gram is in the label, or the end itself.
    last = xp.concatenate([xp.ones_like(inside[:, :1]), inside[:, :-1]], axis=1)
    ids, out = tokens, {}
    for n in range(2, 7):
        ids = (ids[:, :-1] * STEP + tokens[:, n - 1 :]) % CELLS
        if n >= 3:
            out[str(n)] = (ids, last[:, n - 1 :])
    out["top"] = ((out["3"][0] * STEP + top[:, None]) % CELLS, out["3"][1])
    return out


def count(chars, top):
    """In how many names each n-gram stands; one of a single name is not known."""
    tokens = with_ends(np, chars)
    tables = {}
    for name, (ids, inside) in places(np, tokens, top).items():
        n = size_of(name)
        exact = np.zeros(ids.shape, np.int64)
        for at in range(n):
            exact = exact * CHARACTERS + tokens[:, at : at + ids.shape[1]]
        if name == "top":
            exact = exact * TOPS + top[:, None]
        row = np.broadcast_to(np.arange(len(tokens))[:, None], ids.shape)
        order = np.lexsort((exact[inside], row[inside]))
        codes, rows, cell = exact[inside][order], row[inside][order], ids[inside][order]
        # A name that repeats an n-gram counts once.
        once = np.ones(len(codes), bool)
        once[1:] = (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1])
        _, first, counts = np.unique(codes[once], return_index=True, return_counts=True)
        kept = counts >= 2
        table = np.zeros(CELLS, np.uint16)
        capped = np.minimum(counts[kept], 60_000).astype(np.uint16)
        np.maximum.at(table, cell[once][first][kept], capped)
        tables[name] = table
    return tables


def told_as(names):
    """Of a number of names, what the network is told; in steps that a byte has room for."""
    return jnp.round(16 * jnp.log2(1 + jnp.maximum(names, 0))) / 128


def known(tables, tokens, top, own):
    """How well known the n-gram at each character is, and what is told of all."""
    channels, parts = [], []
    for name, (ids, inside) in places(jnp, tokens, top).items():
        names = tables[name][ids].astype(jnp.float32) - own[:, None]
        value = jnp.where((names >= 2) & inside, told_as(names), 0)
        inside = inside.astype(jnp.float32)
        total = jnp.maximum(jnp.sum(inside, 1), 1)
        parts.append(jnp.sum(value, 1) / total)
        parts.append(jnp.min(jnp.where(inside > 0, value, 2), 1))
        parts.append(jnp.sum((value == 0) * inside, 1) / total)
        channels.append(jnp.pad(value, ((0, 0), (0, tokens.shape[1] - value.shape[1]))))
    return jnp.stack(channels, -1), jnp.stack(parts, -1)


def shifted(x):
    """Each place of `[batch, length, channels]` with its neighbours."""
    length = x.shape[1]
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    return jnp.concatenate([padded[:, at : at + length] for at in range(3)], axis=-1)


def halved(x):
    """The greater of each two places."""
    batch, length, channels = x.shape
    return jnp.max(x.reshape(batch, length // 2, 2, channels), axis=2)


def pooled(x, mask):
    """The greatest and the mean over the label, of what is positive."""
    return [jnp.max(x * mask, axis=1), jnp.sum(x * mask, axis=1) / jnp.sum(mask, axis=1)]


def forward(p, tables, c, chars, suffix, measures, own, key=None):
    """The logit of each row; `own` is 1 for names that were counted in `tables`."""
    batch = chars.shape[0]
    keys = None if key is None else jax.random.split(key, 3)

    def dropped(x, at, rate, shape=None):
        if keys is None:
            return x
        kept = jax.random.bernoulli(keys[at], 1 - rate, shape or x.shape)
        return x * kept / (1 if shape else 1 - rate)

    tokens = with_ends(jnp, chars)
    mask = (tokens > 0).astype(jnp.float32)[:, :, None]
    emb = jax.nn.one_hot(tokens, CHARACTERS, dtype=jnp.float32) @ p["emb"]
    channels, summary = known(tables, tokens, suffix[:, 1], own)
    x = jnp.concatenate([emb, channels], -1)
    x = jax.nn.relu(shifted(x) @ p["w1"] + p["b1"])
    y = jax.nn.relu(shifted(halved(x * mask)) @ p["w2"] + p["b2"])
    place = [p["suffix"][suffix[:, 0]], p["top"][suffix[:, 1]], p["kind"][suffix[:, 2]]]
    place = dropped(jnp.concatenate(place, -1), 0, c["suffix_drop"], (batch, 1))
    x = jnp.concatenate([summary, *pooled(x, mask), *pooled(y, halved(mask)), place, measures], -1)
    x = jax.nn.relu(dropped(x, 1, c["drop"]) @ p["wh"] + p["bh"])
    return (dropped(x, 2, c["drop"]) @ p["wl"] + p["bl"])[:, 0]


def loss(p, tables, c, rows, key):
    chars, suffix, measures, label, own = rows
    logit = forward(p, tables, c, chars, suffix, measures, own, key)
    target = label * (1 - 2 * c["smooth"]) + c["smooth"]
    return jnp.mean(jnp.logaddexp(0, logit) - target * logit)


def step(state, tables, index, rows_of, c, total):
    """One step of Adam, and of the average of the weights, which is the model in the end."""
    p, m, v, average, count, key = state
    key, used = jax.random.split(key)
    grads = jax.grad(loss)(p, tables, c, rows_of(index), used)
    count += 1
    share = count / total
    rate = c["rate"] * jnp.minimum(1, share * 20) * (0.5 + 0.5 * jnp.cos(jnp.pi * share))
    tree = jax.tree_util.tree_map
    m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = tree(lambda v, g: 0.99 * v + 0.01 * g * g, v, grads)
    fix1, fix2 = 1 - 0.9**count, 1 - 0.99**count
    p = tree(
        lambda p, m, v: p - rate * (m / fix1 / (jnp.sqrt(v / fix2) + 1e-8) + c["decay"] * p), p, m, v
    )
    keep = jnp.minimum(c["average"], count / (count + 10))
    average = tree(lambda a, p: keep * a + (1 - keep) * p, average, p)
    return p, m, v, average, count, key


def train(c, data, tables, indices, seeds, report=None, chunk=50):
    """Trains a model for each row of `indices`, which is `[models, steps, batch]`."""
    models, steps, _ = indices.shape
    each = [init(c, seed) for seed in seeds]
    p = jax.tree_util.tree_map(lambda *leaves: jnp.stack(leaves), *each)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, p)
    keys = jnp.stack([jax.random.key(seed, impl="rbg") for seed in seeds])
    state = (p, zeros, zeros, p, jnp.zeros(models), keys)

    def rows_of(index):
        return tuple(column[index] for column in data)

    one = jax.vmap(functools.partial(step, rows_of=rows_of, c=c, total=steps), in_axes=(0, None, 0))

    @jax.jit
    def run(state, tables, block):
        return jax.lax.scan(lambda s, i: (one(s, tables, i), None), state, block)[0]

    tables = jax.tree_util.tree_map(jnp.asarray, tables)
    for start in range(0, steps, chunk):
        block = jnp.asarray(np.swapaxes(indices[:, start : start + chunk], 0, 1))
        state = run(state, tables, block)
        if report:
            report(min(steps, start + chunk), steps)
    average = jax.tree_util.tree_map(np.asarray, state[3])
    return [jax.tree_util.tree_map(lambda leaf: leaf[at], average) for at in range(models)]


def predict(c, p, tables, data, rows, batch=4096):
    """Logits of `rows`."""

    @jax.jit
    def one(p, tables, chars, suffix, measures):
        return forward(p, tables, c, chars, suffix, measures, jnp.zeros(len(chars)))

    p, tables = jax.tree_util.tree_map(jnp.asarray, (p, tables))
    out = np.zeros(len(rows), np.float32)
    padded = np.resize(rows, -(-len(rows) // batch) * batch)
    for start in range(0, len(padded), batch):
        part = padded[start : start + batch]
        values = np.asarray(one(p, tables, *(column[part] for column in data[:3])))
        out[start : start + batch] = values[: max(0, len(rows) - start)]
    return out
