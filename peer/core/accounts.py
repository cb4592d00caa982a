"""What the log says of a chunk: what was asked, what came, how it was joined.

Knows no queue and no clock; where in the stream it happened is added by who asks.
"""

from __future__ import annotations

from .chunk import AudioChunk, Request
from .pace import Ask, Pace
from .rendering import Pending, Sentence


def asked(sentence: Sentence, request: Request, ask: Ask, pace: Pace) -> dict[str, object]:
    """Of a request: everything a render depends on, and why it has this size."""
    return {
        "chunk": request.ticket.chunk_id, "adapter": request.adapter, "utterance": sentence.utterance,
        "text_range": [sentence.window.start, sentence.window.end],
        "window": [request.cursor, request.cursor + request.samples], "n": request.units,
        "seed_chunk": request.seed, "epoch": request.ticket.epoch, "stream": request.stream, "text": request.text,
        "knobs": dict(request.knobs), "rate": sentence.descriptor.sample_rate, "overlap": sentence.overlap.samples,
        "mode": pace.mode.value, "rung": ask.rung, "move": pace.move.value, "low_latency": ask.low_latency,
    }  # fmt: skip


def landed(sentence: Sentence, pending: Pending, chunk: AudioChunk) -> dict[str, object]:
    """Of a chunk that is in whole: its digest and its cost. `samples` are native."""
    ticket = pending.request.ticket
    return {
        "chunk": ticket.chunk_id, "adapter": pending.request.adapter, "utterance": sentence.utterance,
        "samples": pending.accepted, "pcm_b2": pending.digest.hexdigest(), "render_ms": round(chunk.render_ms, 3),
        "attempt": ticket.attempt, "pieces": pending.pieces, "eos": chunk.eos,
    }  # fmt: skip


def stitched(sentence: Sentence, pending: Pending) -> dict[str, object]:
    """Where it begins in the output, how it joins, and its markers there."""
    return {
        "chunk": pending.request.ticket.chunk_id, "out_start": pending.out_start, "curve": pending.curve,
        "overlap": sentence.overlap.samples, "markers": pending.markers,
    }  # fmt: skip
