"""Where words probably sound in an engine that does not say: in proportion to what there is to pronounce.

Knows no engine. The estimate depends on the text and the pace alone, never on what was rendered so far.
"""

from __future__ import annotations

import re
from itertools import accumulate

from peer.core.chunk import Marker

WORD = re.compile(r"\S+")
SOUNDED = re.compile(r"[^\W_]")

LETTER_S = 0.062
"""Seconds per letter or digit, pauses apart: 175 words a minute of five letters, as the embedded voice has them."""

GAP_S = 0.035
"""Seconds that a word costs besides its letters."""

PAUSE_S = 0.22
"""Seconds after a comma or stop."""

LEAD_S = 0.05
"""Seconds before the first word."""


def words(text: str, sample_rate: int, pace: float = 1.0, letter_s: float = LETTER_S) -> tuple[Marker, ...]:
    """A "word" marker per word of `text`, `at` in samples of `sample_rate`, ascending from the sentence's start."""
    found = [match for match in WORD.finditer(text) if SOUNDED.search(match[0])]
    lengths = [_seconds(match[0], letter_s) / pace for match in found]
    starts = accumulate(lengths, initial=LEAD_S / pace)
    return tuple(
        Marker("word", round(at * sample_rate), match.start(), match.end())
        for match, at in zip(found, starts, strict=False)
    )


def _seconds(word: str, letter_s: float) -> float:
    pause = PAUSE_S if word[-1] in ",;:.!?…" else 0.0
    return letter_s * len(SOUNDED.findall(word)) + GAP_S + pause
