"""What is said in scenes: plain prose, so that every word of it is one word to every engine.

Knows no engine. Word pairs that espeak-ng speaks and marks as one ("on the", "for a", "had been") are avoided.
"""

from __future__ import annotations

import random

SHORT = (
    "Yes.",
    "I hear you.",
    "One moment, please.",
    "That is done.",
    "Go on.",
    "What would you like to hear?",
    "All of it is saved.",
    "Not yet, but soon.",
)

STORY = (
    "The harbour was quiet when the first boats came home.",
    "Nets hung over the rails, still wet, and gulls followed close behind.",
    "By that pier an old lamp flickered; nobody had trimmed its wick for days.",
    "Children ran along the stones, counting sails and calling out names.",
    "One boat was missing, though winds stayed kind all morning.",
    "So they waited, some with folded arms, others with cups of hot tea.",
    "When at last a small grey sail showed beyond the point, somebody laughed.",
    "It had only stopped to help a stranger, and now two crews wanted supper.",
    "Bread was cut, fish was fried, and the long table filled with talk.",
    "Later the lamp burned brightly, because one boy climbed up and cleaned the glass.",
)


def narration(sentences: int, seed: int = 1) -> str:
    """`sentences` sentences of prose, the same for the same seed."""
    rng = random.Random(seed)
    return " ".join(rng.choice(STORY) for _ in range(sentences))
