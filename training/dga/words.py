"""Words, found in names that people chose: no list from elsewhere.

A unigram model over substrings, fitted by a few rounds of best segmentations. Its words make
synthetic names of dictionary type.
"""

import collections
import math

LENGTH_MAX = 12
LENGTH_MIN = 3
ROUNDS = 3
VOCABULARY = 60_000


def _candidates(labels):
    counts = collections.Counter()
    for label in labels:
        size = len(label)
        for start in range(size):
            for end in range(start + 1, min(size, start + LENGTH_MAX) + 1):
                counts[label[start:end]] += 1
    kept = {word: count for word, count in counts.items() if len(word) == 1 or count >= 6}
    # Long substrings first of all, but a substring that only ever stands inside a longer one is none.
    ranked = sorted(kept, key=lambda word: (-kept[word] * len(word), word))
    chosen = set(ranked[:VOCABULARY]) | {word for word in kept if len(word) == 1}
    return {word: kept[word] for word in chosen}


def _segment(label, cost):
    size = len(label)
    best = [0.0] + [math.inf] * size
    back = [0] * (size + 1)
    for end in range(1, size + 1):
        for start in range(max(0, end - LENGTH_MAX), end):
            step = cost.get(label[start:end])
            if step is not None and best[start] + step < best[end]:
                best[end] = best[start] + step
                back[end] = start
    words = []
    while size > 0:
        words.append(label[back[size]:size])
        size = back[size]
    return words[::-1]


def find(labels, limit=8000):
    """Words of `labels`, most used first."""
    parts = [part for label in labels for part in label.split("-")]
    letters = [part for part in parts if part.isascii() and part.isalpha() and 3 <= len(part) <= 30]
    counts = _candidates(letters)
    for _ in range(ROUNDS):
        total = sum(counts.values())
        cost = {word: math.log(total / count) for word, count in counts.items()}
        used = collections.Counter()
        for label in letters:
            used.update(_segment(label, cost))
        counts = {word: used[word] for word in counts if used[word] >= 2 or len(word) == 1}
        counts = {word: max(count, 1) for word, count in counts.items()}
    words = [word for word in counts if len(word) >= LENGTH_MIN and counts[word] >= 5]
    words.sort(key=lambda word: (-counts[word], word))
    return [word for word in words if any(vowel in word for vowel in "aeiouy")][:limit]
