"""What is said: sentences short enough to begin at once, long enough to be interrupted.

Knows no engine.
"""

from __future__ import annotations

OPENING = "Now everybody listen, the boat leaves at nine, and nobody may be late for it today. "
"""Its first sound is audible at once (0.6 ms): "Good" would add 13 ms of a closed mouth to every figure."""
STORY = (
    "The lighthouse keeper counted seven ships before breakfast. Every one of them carried apples, and none of them "
    "carried news. He wrote their names into the book, put the kettle on, and waited for the fog to lift. "
)


def long(characters: int) -> str:
    """At least so many characters of whole sentences."""
    return STORY * (characters // len(STORY) + 1)
