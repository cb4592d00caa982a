"""One sentence of XTTS in progress: its prompts one after the other, each code by code and block by block.

Knows no request but its own. Everything is a function of text, knobs and seed; codes that `state` brings are followed
instead of drawn, to the same bytes, and a prompt that they finish before the cursor is passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adapters import estimate
from adapters.spool import Block
from peer.core.chunk import Marker, Request
from peer.core.pcm import EMPTY

from . import xtts_text
from .xtts_codes import Decoding
from .xtts_folder import SAMPLING
from .xtts_speakers import Speaker, Speakers
from .xtts_speech import Sound, Speech, samples
from .xtts_text import Bounds, Prompt

CODE = np.dtype("<u2")
"""How codes travel in `state`."""

PAUSE_S = 0.2
"""What a text without letters sounds like: the pause that its marks stand for."""


class Sentence:
    """The blocks of one request's sentence."""

    def __init__(self, model: Any, speakers: Speakers, request: Request) -> None:
        self._model = model
        self._speakers = speakers
        self._request = request
        self._rate = int(model.args.output_sample_rate)
        self._speed = float(request.knobs["speed"])
        self._known = deque(codes_of(request.state, model.gpt.num_audio_tokens))
        self._passed: list[int] = []

    def blocks(self) -> Iterator[Block]:
        """Sound in order, and an empty block after every code that brought none: there a render may be left.

        Raises Unspeakable before the first.
        """
        text = self._request.text
        if not xtts_text.sounded(text):
            yield Block(0, np.zeros(round(PAUSE_S * self._rate) if text.strip() else 0, np.float32))
            return
        speaker = self._speakers.speaker(str(self._request.knobs["timbre"]))
        at = 0
        for index, prompt in enumerate(self._prompts()):
            known = self._take(prompt.most)
            length = self._samples(len(known))
            if self._finished(known, prompt) and at + length <= self._request.cursor:
                self._passed += known
                at += length
                continue
            before = len(self._passed)
            yield from self._spoken(index, prompt, speaker, known, at)
            at += self._samples(len(self._passed) - before)

    def _prompts(self) -> tuple[Prompt, ...]:
        model, knobs = self._model, self._request.knobs
        wanted = str(knobs["language"])
        language = xtts_text.reader(self._request.text, wanted, model.config.languages)
        bounds = Bounds(
            letter_ms=float(knobs["letter_ms"]),
            spare_ms=float(knobs["spare_ms"]),
            code_ms=1000.0 * model.gpt.code_stride_len / model.args.input_sample_rate,
            tokens=model.args.gpt_max_text_tokens,
            codes=model.gpt.max_gen_mel_tokens,
        )
        return xtts_text.prompts(self._request.text, language, model.tokenizer, bounds)

    def _samples(self, codes: int) -> int:
        return samples(self._model.hifigan_decoder, self._speed, codes)

    def _take(self, most: int) -> list[int]:
        """The known codes of the next prompt: up to its stop or its bound."""
        taken: list[int] = []
        while self._known and len(taken) < most and not (taken and taken[-1] == self._model.gpt.stop_audio_token):
            taken.append(self._known.popleft())
        return taken

    def _finished(self, codes: Sequence[int], prompt: Prompt) -> bool:
        return bool(codes) and (len(codes) == prompt.most or codes[-1] == self._model.gpt.stop_audio_token)

    def _spoken(self, index: int, prompt: Prompt, speaker: Speaker, known: Sequence[int], at: int) -> Iterator[Block]:
        """The blocks of one prompt, which begins at sample `at`."""
        model, request = self._model, self._request
        sampling = {name: float(request.knobs[name]) for name in SAMPLING}
        decoding = Decoding(model.gpt, speaker.latents, prompt.ids, prompt.most, sampling, known)
        speech = Speech(model.hifigan_decoder, speaker.embedding, self._speed, max(0, request.cursor - at))
        markers = deque(self._markers(prompt, at))
        end = at
        for step in decoding.steps(request.seed, index):
            self._passed.append(step.code)
            for sound in speech.push(step.latent):
                yield self._block(sound, at, markers)
                end = at + sound.at + len(sound.pcm)
            yield Block(end, EMPTY, state=state_of(self._passed))
        rest = list(speech.push(None))
        for sound in rest:
            yield self._block(sound, at, markers, last=sound is rest[-1])

    def _block(self, sound: Sound, at: int, markers: deque[Marker], last: bool = False) -> Block:
        """`sound` of the prompt that begins at sample `at`, with the markers due; the last has all that are left."""
        start = at + sound.at
        end = start + len(sound.pcm)
        due = []
        while markers and (last or markers[0].at < end):
            marker = markers.popleft()
            due.append(replace(marker, at=min(marker.at, end - 1)))
        return Block(start, sound.pcm.cpu().numpy(), tuple(due), state_of(self._passed))

    def _markers(self, prompt: Prompt, at: int) -> Iterator[Marker]:
        part = self._request.text[prompt.start : prompt.end]
        for marker in estimate.words(part, self._rate, self._speed):
            yield replace(marker, at=at + marker.at, start=prompt.start + marker.start, end=prompt.start + marker.end)


def state_of(codes: Sequence[int]) -> bytes:
    """Codes as they travel."""
    return np.array(codes, CODE).tobytes()


def codes_of(state: bytes, most: int) -> list[int]:
    """The codes of a state, or none where it is not one: every code is below `most`."""
    if len(state) % CODE.itemsize:
        return []
    codes: list[int] = np.frombuffer(state, CODE).tolist()
    return codes if all(code < most for code in codes) else []
