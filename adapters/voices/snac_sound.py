"""Codes to blocks of sound with their words: one code frame each, from any sample of a sentence.

Knows neither prompts nor files; steps are taken one by one, so that a caller may leave between two tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.spool import Block
from peer.core.chunk import Marker
from peer.core.pcm import EMPTY

from .snac_speech import Speech
from .snac_stream import BEFORE, FRAME, REACH, Decoder


def blocks(
    speech: Speech, decoder: Decoder, marks: Sequence[tuple[Marker, ...]], seed: int, cursor: int
) -> Iterator[Block]:
    """The blocks from the one that holds sample `cursor` to the end, and an empty one after every token.

    `marks` are the words of each part, from the part's own start.
    """
    first = (cursor + REACH) // FRAME
    while speech.frames <= first and not speech.ended:
        speech.advance()
        yield Block(0, EMPTY)
    first = min(first, speech.frames)
    stream = decoder.stream(seed, max(0, first - BEFORE))
    while True:
        while speech.frames == stream.frame and not speech.ended:
            speech.advance()
            yield Block(stream.at, EMPTY, (), speech.state(stream.frame))
        if speech.frames == stream.frame:
            break
        at, warm = stream.at, stream.frame >= first
        pcm = stream.push(speech.codes(stream.frame))
        if warm:
            # Only what is certain by now: what was already said beyond must not show, or a repeat would differ.
            yield Block(at, pcm, due(marks, speech.ends, at, at + len(pcm)), speech.state(stream.frame))
    at = stream.at
    for pcm in stream.flush():
        yield Block(at, pcm, due(marks, speech.ends, at, at + len(pcm)), speech.state())
        at += len(pcm)


def due(marks: Sequence[tuple[Marker, ...]], ends: Sequence[int], low: int, high: int) -> tuple[Marker, ...]:
    """The markers of [low, high): each part's from where it began, at the latest on its last sample."""
    found = []
    for index, part in enumerate(marks[: len(ends) + 1]):
        start = FRAME * ends[index - 1] if index else 0
        last = FRAME * ends[index] - 1 if index < len(ends) else high
        found += [Marker(m.kind, min(start + m.at, last), m.start, m.end) for m in part]
    return tuple(marker for marker in found if low <= marker.at < high)
