"""Ways to grow and to ask an isolation forest, for the table of docs/unsupervised.md; nothing of this is shipped."""

import math

import numba
import numpy as np

TREES = 100
SAMPLE = 256

# terms: columns of a split (more than one: a slanted split, weighed by normal numbers over the spread in the node).
# deep: until every row is alone, else to log2(sample). half: from half of the rows at most, else from all.
# inserted: a row is asked for as if it had been in the sample.
KINDS = {
    "all three": {"deep": True, "half": True, "inserted": True},
    "as in the paper": {},
    "deep": {"deep": True},
    "deep, half": {"deep": True, "half": True},
    "half": {"half": True},
    "asked as if inserted": {"inserted": True},
    "two terms": {"terms": 2},
    "two terms, all three": {"terms": 2, "deep": True, "half": True, "inserted": True},
    "all terms": {"terms": 1000},
    "all terms, all three": {"terms": 1000, "deep": True, "half": True, "inserted": True},
}


def scorer(terms=1, deep=False, half=False, inserted=False):
    def score(rows, seed):
        sample = min(SAMPLE, (len(rows) + 1) // 2 if half else len(rows))
        limit = 10_000 if deep else math.ceil(math.log2(sample))
        return -paths(rows.astype(np.float64), sample, terms, limit, inserted, seed)

    return score


@numba.njit
def average(rows):
    if rows < 2:
        return 0.0
    harmonic = 0.0
    for number in range(1, rows):
        harmonic += 1.0 / number
    return 2.0 * harmonic - 2.0 * (rows - 1) / rows


@numba.njit
def slant(x, part, terms, values):
    """Draws a split of the rows of `part`: what each row has on its axis. False where all are the same."""
    varied = np.empty(x.shape[1], np.int64)
    count = 0
    for column in range(x.shape[1]):
        for row in part:
            if x[row, column] != x[part[0], column]:
                varied[count] = column
                count += 1
                break
    if count == 0:
        return False
    values[:] = 0.0
    for term in range(min(terms, count)):
        other = np.random.randint(term, count)
        varied[term], varied[other] = varied[other], varied[term]
        column = varied[term]
        weight = 1.0 if terms == 1 else np.random.normal() / x[part, column].std()
        for row in range(len(x)):
            values[row] += weight * x[row, column]
    return True


@numba.njit
def paths(x, sample, terms, limit, inserted, seed):
    """How long the path of each row is, over all trees."""
    np.random.seed(seed)
    path = np.zeros(len(x))
    values = np.empty(len(x))
    for _ in range(TREES):
        alive = np.ones(len(x))
        part = np.random.permutation(len(x))[:sample]
        stack = [(part, np.arange(len(x)), 0)]
        while len(stack) > 0:
            part, asked, depth = stack.pop()
            if len(part) < 2 or depth >= limit or not slant(x, part, terms, values):
                path[asked] += alive[asked] * average(len(part))
                continue
            low, high = values[part].min(), values[part].max()
            threshold = np.random.uniform(low, high)
            for row in asked:
                path[row] += alive[row]
                if inserted and values[row] > high:
                    alive[row] *= (high - low) / (values[row] - low)
                elif inserted and values[row] < low:
                    alive[row] *= (high - low) / (high - values[row])
            for side in range(2):
                stack.append((
                    part[(values[part] > threshold) == (side == 1)],
                    asked[(values[asked] > threshold) == (side == 1)],
                    depth + 1,
                ))
    return path
