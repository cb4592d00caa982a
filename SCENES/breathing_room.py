"""Breathing Room: short utterances sound while they are still being thought, and no file appears.

Some come out of silence, some while the one before is still sounding or fading: those must begin before its
silence has decayed. The bound is a relation: the render of the first chunk, and the frame that waits for it.
"""

from __future__ import annotations

from . import shapes
from .audit import watch
from .scene import Performance, Stage
from .shapes.figures import found
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
