"""Orpheus-style voices: a language model in llama.cpp says SNAC codes, the codec sounds them, frame by frame.

Knows no process. Described cold from the model folder: a *.gguf and a folder snac/ beside it. What one sentence
sounds like is decided by its prompts, its seed and the knobs; the codes said so far travel as the chunk's state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar

import numpy as np

from adapters import settings
from adapters.base import Lack, Projection, python_worker
from adapters.llama import ALL_LAYERS, Llama
from adapters.spool import Block, Spool
from adapters.stretch import completed
from peer.core.chunk import AudioChunk, Request
from peer.core.descriptor import LADDER, Context, Descriptor, Determinism, MarkerQuality, Unit
from peer.core.errors import Unavailable, Unspeakable
from peer.core.voice import Voice

from . import snac_codec, snac_text
from . import snac_schema as schema
from .snac_sound import blocks
from .snac_speech import Prompt, Speech
from .snac_stream import FRAME, RATE, TOKENS
from .snac_text import Part
from .snac_tokens import Vocabulary

CUDA = "cuda"
OFFER = "orpheus-3b-q4"
"""What the shelf offers for this engine."""
CONTEXT = 2048
"""Tokens of one prompt and its answer: a part of a sentence (snac_text.LONGEST_PART). The rest is not remembered,
so memory does not grow, and a rebuild never evaluates more."""

REMEMBERED = 64
"""Sentences whose codes are kept, 4 kB each: more than wait in a worker, so that a resumed one says what it said."""


def _version() -> str:
    with suppress(PackageNotFoundError):
        return f"llama-cpp-python {version('llama-cpp-python')}, snac {version('snac')}"
    return "absent"


class SnacLlamaCpp:
    """One language model, one codec, many sentences in turns."""

    name: ClassVar[str] = "snac_llamacpp"

    def __init__(self) -> None:
        self._row = settings.of(self.name)
        self._llama: Llama | None = None
        self._spool: Spool | None = None
        self._speeches: OrderedDict[tuple[object, ...], Speech] = OrderedDict()

    @classmethod
    def describe(cls) -> Descriptor:
        row = settings.of(cls.name)
        return Descriptor(
            name=cls.name,
            version=_version(),
            unit=Unit.TOKENS,
            unit_ms=1000.0 * FRAME / TOKENS / RATE,
            sample_rate=RATE,
            voices=schema.voices_of(row),
            languages=schema.languages_of(row),
            licence="MIT; Orpheus weights Apache-2.0",
            granularity=LADDER,
            determinism=Determinism.PLATFORM,
            stateful_context=Context.ROLLING,
            markers={"word": MarkerQuality.ESTIMATED},
            limits={"concurrency": 1, "context": CONTEXT},
            features=("emotion_tags",),
        )

    @classmethod
    def lacks(cls) -> Lack | None:
        return schema.lack_of(settings.of(cls.name), f"python -m peer voices add {cls.name} {OFFER}")

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        knobs, report = schema.knobs_of(settings.of(cls.name), voice, voice.timbre_for(cls.name))
        return completed(Projection(knobs, report), voice)

    @classmethod
    def worker_command(cls) -> list[str]:
        return python_worker(cls.name)

    def warm_up(self) -> None:
        """Load the language model and the codec. Raises Unavailable."""
        self.close()
        lack, row = self.lacks(), settings.of(self.name)
        model = schema.model_of(row)
        if lack is not None or model is None:
            raise Unavailable(f"{lack.reason}: {lack.remedy}" if lack else f"no model in {row.models}")
        device = _device(row.device, row.threads)
        self._spool = Spool(self._begin, RATE)
        self._decoder = snac_codec.load(schema.codec_of(row), device)
        self._llama = Llama.open(model, CONTEXT, row.threads, ALL_LAYERS if row.device == CUDA else 0)
        self._vocabulary = Vocabulary(self._llama, row.option("layout"))
        self._row = row

    def render(self, request: Request) -> Iterator[AudioChunk]:
        if self._spool is None or self._llama is None:
            raise Unavailable(f"{self.name} is not warm")
        return self._spool.render(request)

    def close(self) -> None:
        """Free the models and every sentence; twice is once."""
        if self._spool is not None:
            self._spool.close()
        if self._llama is not None:
            self._llama.close()
        self._spool = self._llama = None
        self._speeches.clear()

    def _begin(self, request: Request) -> Iterator[Block]:
        """The blocks of one sentence from the frame in which the cursor lies; an empty one after every token."""
        if not request.text.strip():
            return iter(())
        snac_text.check(request.text, schema.languages_of(self._row))
        found = snac_text.parts(request.text)
        if not found:
            return iter([Block(0, np.zeros(round(snac_text.PAUSE_S * RATE), np.float32))])
        marks = [snac_text.words(part, request.text, RATE) for part in found]
        return blocks(self._speech(request, found), self._decoder, marks, request.seed, request.cursor)

    def _speech(self, request: Request, found: tuple[Part, ...]) -> Speech:
        """The codes of a request's sentence, as far as they are known here or to its state."""
        if self._llama is None:
            raise Unavailable(f"{self.name} is not warm")
        prompts, choice = self._prompts(self._llama, request, found), schema.choice_of(request.knobs)
        key = (prompts, request.seed, choice)
        speech = self._speeches.pop(key, None) or Speech(self._llama, self._vocabulary, prompts, request.seed, choice)
        self._speeches[key] = speech
        while len(self._speeches) > REMEMBERED:
            self._speeches.popitem(last=False)[1].release()
        speech.adopt(request.state)
        return speech

    def _prompts(self, llama: Llama, request: Request, found: tuple[Part, ...]) -> tuple[Prompt, ...]:
        voice = schema.timbre_of(self._row, str(request.knobs.get("voice", "")))
        prompts = []
        for index, part in enumerate(found):
            sound = schema.sound_of(request.knobs, request.seed) if index == 0 else ""
            ids = self._vocabulary.prompt(voice, sound + part.text)
            room = (llama.context - len(ids)) // TOKENS
            if room < 1:
                raise Unspeakable(f"{len(ids)} tokens for {len(part.text)} characters: this voice cannot read them")
            prompts.append(Prompt(tuple(ids), min(room, round(part.longest_s * RATE / FRAME))))
        return tuple(prompts)


def _device(wanted: str, threads: int) -> str:
    """Where the codec runs, torch being told about it. Raises Unavailable for a device that is not there."""
    import torch

    torch.set_num_threads(threads)
    if wanted == "cpu":
        return "cpu"
    if wanted != CUDA:
        raise Unavailable(f"the device is {wanted!r}: choose cpu or cuda")
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    # A CPU build of torch beside a GPU build of llama.cpp is a good pair: the codec costs a third of a core.
    return CUDA if torch.cuda.is_available() else "cpu"
