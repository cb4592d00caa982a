"""Breathing Room: short utterances sound while they are still being thought, and no file appears.

Some come out of silence, some while the one before is still sounding or fading: those must begin before its
silence has decayed. The bound is a relation: the render of the first chunk, and the frame that waits for it.
"""

from __future__ import annotations

from . import shapes
from .audit import open_for_writing, watch
from .caller import Caller
from .live import perform
from .scene import Performance, Stage
from .server import Server
from .shapes.figures import Finding, found
from .texts import SHORT

PAUSES_MS = (0, 300, 1500)
"""Between two texts: at once, while the last one sounds, and out of silence."""


def play(stage: Stage) -> Performance:
    with watch() as files:
        theatre = stage.theatre()
        for i, text in enumerate(SHORT):
            theatre.say(text)
            theatre.run(PAUSES_MS[i % len(PAUSES_MS)])
        take = theatre.until_quiet().take()
    no_file = found("no_file", files)
    judged = [shape(take) for shape in (*shapes.ALWAYS, shapes.no_underflow, shapes.first_audio_before_silence)]
    return Performance(take, (*judged, no_file))


def live(stage: Stage) -> Performance:
    """Against a real server: the same words, heard by a caller; no file opened by server or worker."""
    return perform(stage, _talk)


async def _talk(caller: Caller, server: Server) -> list[Finding]:
    held: list[str] = []
    for text in SHORT[:4]:
        ident = caller.ask("say", text=text)
        await caller.answer(ident)
        await caller.until(lambda: caller.state() in ("SPEAKING", "DRAINING"))
        held += [name for pid in server.workers() for name in open_for_writing(pid)]
        await caller.until(lambda: caller.state() == "IDLE")
    return [found("no_file_held", [f"a worker holds {name} open for writing" for name in held])]
