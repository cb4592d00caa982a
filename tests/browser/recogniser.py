"""Which sentence of a closed list a recording is, or which of its words it has: pocketsphinx with a grammar, offline.

Knows no browser. A grammar always answers with one of its sentences: the test is that it is the right one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import soxr
from pocketsphinx import Config, Decoder

RATE = 16_000
RECORDED = 48_000
PEAK = 0.6
FLOOR = 1e-3
"""Noise under the recording: a decoder trained on rooms understands nothing around digital silence."""
HUSH_S = 0.15
"""Silence around a cut piece: without it the last word is lost more often than not."""
BEAMS = {"beam": 1e-80, "wbeam": 1e-60, "pbeam": 1e-80}
"""Wider than usual: a closed list can afford to keep every alternative to the end."""

SENTENCES = (
    "the red boat sails home",
    "seven hungry cats wait outside",
    "please close the window tonight",
    "my brother plays the violin",
    "winter comes early this year",
    "nobody found the silver key",
    "fresh bread smells wonderful",
    "we walked along the river",
    "the doctor reads a newspaper",
    "eleven people missed the train",
    "put the letter under the door",
    "children love chocolate cake",
    "a green bottle fell down",
    "the market opens at nine",
    "your coffee is getting cold",
    "mountains look blue from here",
    "she painted the kitchen yellow",
    "old horses sleep standing up",
    "the music stopped at midnight",
    "they bought twenty oranges",
    "thunder frightened the puppy",
    "his jacket has four pockets",
    "remember to water the flowers",
    "the teacher forgot our names",
)


def grammar(sentences: Sequence[str]) -> str:
    """A JSGF grammar of exactly these sentences."""
    return f"#JSGF V1.0;\ngrammar closed;\npublic <one> = {' | '.join(sentences)};\n"


def loose(sentence: str) -> str:
    """A JSGF grammar of these words in their order, each never, once or twice: it hears what is lost or doubled."""
    words = " ".join(f"[{word} [{word}]]" for word in sentence.split())
    return f"#JSGF V1.0;\ngrammar loose;\npublic <some> = {words};\n"


class Recogniser:
    """Chooses among `sentences`; words must be in pocketsphinx's own dictionary of American English."""

    def __init__(self, sentences: Sequence[str] = SENTENCES) -> None:
        self._decoder = Decoder(Config(samprate=float(RATE), cmn="batch", loglevel="FATAL", **BEAMS))
        unknown = {word for one in sentences for word in one.split() if self._decoder.lookup_word(word) is None}
        assert not unknown, f"not in the dictionary: {sorted(unknown)}"
        self._decoder.add_jsgf_string("closed", grammar(sentences))

    def hear(self, pcm: npt.NDArray[np.float32]) -> str:
        """The sentence that (n,) float32 at 48 kHz sounds like most; empty where it is none at all."""
        self._decoder.activate_search("closed")
        return self._decoded(pcm)

    def words(self, pcm: npt.NDArray[np.float32], sentence: str) -> list[str]:
        """Which words of `sentence` (n,) float32 at 48 kHz has, in their order: each may be missing or there twice.

        Half a second per five words, which is what it is good for: with ten it takes ten times as long.
        """
        self._decoder.add_jsgf_string("loose", loose(sentence))
        self._decoder.activate_search("loose")
        hush = np.zeros(round(HUSH_S * RECORDED), np.float32)
        return self._decoded(np.concatenate([hush, pcm, hush])).split()

    def _decoded(self, pcm: npt.NDArray[np.float32]) -> str:
        found = soxr.resample(pcm, RECORDED, RATE)
        loudest = float(np.max(np.abs(found), initial=1e-6))
        floor = np.random.default_rng(0).normal(0.0, FLOOR, len(found))
        samples = (np.clip(found * (PEAK / loudest) + floor, -1.0, 1.0) * 32767.0).astype(np.int16)
        self._decoder.start_utt()
        self._decoder.process_raw(samples.tobytes(), full_utt=True)
        self._decoder.end_utt()
        best = self._decoder.hyp()
        return best.hypstr if best is not None else ""
