"""Where each word of a text begins among the phonemes it was spoken with: an alignment of two ways to say it.

Knows no engine. Said together, words are joined ("on the"), weakened or spoken as several (numbers); said alone, each
has its phonemes to itself. The cheapest edit of the one into the other maps the words, and where a space of the
sentence stands between two of them, the second begins behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

UNSAID = frozenset("ˈˌːˑ.,:;!?")
"""Stress, length and punctuation change with the neighbours; they are not compared."""

SPACE = " "

MOST_CELLS = 4_000_000
"""Pairs of phonemes compared: two thousand by two thousand, five times the longest window. Beyond it, words are placed
in proportion to their length."""


def starts(alone: Sequence[Sequence[str]], together: Sequence[str]) -> list[int]:
    """For every word the index in `together` where it begins, ascending; `alone` are the phonemes of each by itself.

    A word that left no phoneme begins where the next one does; behind the last phoneme if there is none.
    """
    if len(alone) < 2:
        return [0] * len(alone)
    wanted, owners = _flattened(alone)
    heard = [index for index, phoneme in enumerate(together) if phoneme not in UNSAID]
    if len(wanted) * len(heard) > MOST_CELLS:
        return _proportional(alone, together)
    spans = _spans(owners, [heard[at] if at >= 0 else -1 for at in _matched(wanted, [together[i] for i in heard])])
    return _begins(spans, len(alone), together)


def _flattened(alone: Sequence[Sequence[str]]) -> tuple[list[str], list[int]]:
    """All comparable phonemes in a row with spaces between the words, and which word each is of (-1: a space)."""
    wanted: list[str] = []
    owners: list[int] = []
    for index, phonemes in enumerate(alone):
        own = [phoneme for phoneme in phonemes if phoneme not in UNSAID]
        if own and wanted:
            wanted.append(SPACE)
            owners.append(-1)
        wanted += own
        owners += [index] * len(own)
    return wanted, owners


def _matched(wanted: Sequence[str], heard: Sequence[str]) -> list[int]:
    """For each of `wanted` the index in `heard` that it became, -1 where it was dropped: the cheapest edit."""
    codes = {phoneme: code for code, phoneme in enumerate(dict.fromkeys([*wanted, *heard]))}
    costs = _costs([codes[p] for p in wanted], np.array([codes[p] for p in heard], np.int32), codes.get(SPACE, -1))
    found = [-1] * len(wanted)
    row, column = len(wanted), len(heard)
    while row and column:
        here = costs[row, column]
        if here == costs[row - 1, column] + DROP:
            row -= 1
        elif here == costs[row, column - 1] + DROP:
            column -= 1
        else:
            row, column = row - 1, column - 1
            found[row] = column
    return found


DROP = 2
"""What a phoneme costs that is only in one of the two; one that became another costs a little more than half of two."""

CHANGE = 3
FOREVER = 1_000
"""A space never becomes a phoneme."""


def _costs(wanted: Sequence[int], heard: npt.NDArray[np.int32], space: int) -> npt.NDArray[np.int32]:
    """The cost of every pair of prefixes, (len(wanted) + 1, len(heard) + 1) int32; a row at a time."""
    steps = DROP * np.arange(len(heard) + 1, dtype=np.int32)
    costs = np.empty((len(wanted) + 1, len(heard) + 1), np.int32)
    costs[0] = steps
    spaces = heard == space
    for row, code in enumerate(wanted):
        change = np.where(heard == code, 0, np.where(spaces | (code == space), FOREVER, CHANGE))
        best = costs[row] + DROP
        np.minimum(best[1:], costs[row, :-1] + change, out=best[1:])
        # Dropping from `heard` chains along the row: a running minimum once the slope is taken off.
        costs[row + 1] = np.minimum.accumulate(best - steps) + steps
    return costs


def _spans(owners: Sequence[int], matches: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Word → its first and last phoneme in the sentence, for words that kept any."""
    spans: dict[int, tuple[int, int]] = {}
    for owner, at in zip(owners, matches, strict=True):
        if owner >= 0 and at >= 0:
            spans[owner] = (spans.get(owner, (at, at))[0], at)
    return spans


def _begins(spans: dict[int, tuple[int, int]], words: int, together: Sequence[str]) -> list[int]:
    found = [len(together)] * words
    behind = -1
    for word in range(words):
        if word in spans:
            first, last = spans[word]
            found[word] = _boundary(together, behind, first)
            behind = last
    if spans:
        found[min(spans)] = min(found[min(spans)], 0)
    for word in range(words - 2, -1, -1):
        found[word] = min(found[word], found[word + 1])
    return found


def _boundary(together: Sequence[str], behind: int, first: int) -> int:
    """Where the word whose first phoneme is `first` begins: behind a space after `behind`, else with its stress."""
    for at in range(first, behind, -1):
        if together[at - 1 : at] == [SPACE]:
            return at
    while first - 1 > behind and together[first - 1] in "ˈˌ":
        first -= 1
    return first


def _proportional(alone: Sequence[Sequence[str]], together: Sequence[str]) -> list[int]:
    lengths = [len(phonemes) + 1 for phonemes in alone]
    whole = sum(lengths)
    return [at * len(together) // whole for at in accumulate(lengths[:-1], initial=0)]
