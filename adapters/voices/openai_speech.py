"""Any service that speaks OpenAI's `/v1/audio/speech`: the operator names it, its sound is streamed as it comes.

Knows which knobs a persona becomes and what a request needs of the modules beside it: the service named, the text
and persona in words, the exchange, the sound, and the renditions kept. Nothing is loaded before it warms up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from adapters import estimate, settings, stretch
from adapters.base import Honour, Lack, Projection, python_worker
from adapters.spool import Block
from peer.core.chunk import AudioChunk, Request
from peer.core.descriptor import Context, Descriptor, Determinism, MarkerQuality, Unit
from peer.core.errors import Refusal, Unavailable, Unspeakable
from peer.core.pcm import EMPTY
from peer.core.voice import Voice

from .openai_service import RATE, BadOptionError, Service, service_of
from .openai_text import MOST_TEXT, clean, foreign_script, instructions_of, is_silent

if TYPE_CHECKING:
    from .openai_exchange import Exchange
    from .openai_take import Takes

URL_VARIABLE = "SYNCHRONY_SPEECH_URL"
"""Names the service where no file does; the configuration reads it."""

RUNGS_MS = (100, 160, 200, 300, 400, 600, 800)
"""The ladder of the token engines in milliseconds, rounded to frames: one comfort band suits all."""

SLOWEST, FASTEST = 0.25, 4.0
"""What the protocol's `speed` takes; a persona asks for half to twice."""

MOST_KEY = 1024
"""Characters of a key; what is longer was pasted by mistake."""


class OpenAISpeech:
    """A speech service over HTTP. Its own process reaches that service and nothing else."""

    name: ClassVar[str] = "openai_speech"

    def __init__(self) -> None:
        self._exchange: Exchange | None = None
        self._takes: Takes | None = None

    # --- cold ---

    @classmethod
    def _service(cls) -> Service | None:
        """What the operator named, None where nothing is. Raises BadOptionError."""
        return service_of(settings.of(cls.name))

    @classmethod
    def _usable(cls) -> Service | None:
        """The same without a complaint: `lacks` makes it."""
        try:
            return cls._service()
        except BadOptionError:
            return None

    @classmethod
    def describe(cls) -> Descriptor:
        service = cls._usable()
        languages = service.languages if service is not None else ()
        return Descriptor(
            name=cls.name,
            version=service.model if service is not None else "absent",
            unit=Unit.MS,
            unit_ms=1.0,
            sample_rate=service.rate if service is not None else RATE,
            voices=service.voices if service is not None else (),
            languages=languages or ("und",),
            licence="the service's own",
            granularity=RUNGS_MS,
            supports_seed=False,
            determinism=Determinism.NONE,
            stateful_context=Context.NONE,
            markers={"word": MarkerQuality.ESTIMATED},
            limits={"concurrency": 1},
            features=("remote", "unencrypted") if service is not None and service.exposed else ("remote",),
            network=(service.place,) if service is not None else (),
        )

    @classmethod
    def lacks(cls) -> Lack | None:
        try:
            service = cls._service()
        except BadOptionError as error:
            return Lack(str(error), f"correct [engines.{cls.name}.options] or {URL_VARIABLE}")
        if service is not None:
            return None
        return Lack(
            "no speech service is named",
            f"set {URL_VARIABLE}=https://host/v1 in the environment, or url in [engines.{cls.name}.options]",
        )

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        service = cls._usable()
        voices = service.voices if service is not None else ()
        timbre = voice.timbre_for(cls.name)
        if timbre and timbre not in voices:
            raise Refusal("unsupported", "voice.timbre", f"choose one of {', '.join(voices) or 'none'}, or none")
        languages = service.languages if service is not None else ()
        if languages and not _speaks(languages, voice.accent):
            raise Refusal("unsupported", "voice.accent", f"choose one of {', '.join(languages)}")
        directed = service is not None and service.instructions
        paced = service is not None and service.speed
        knobs: dict[str, int | float | str] = {
            "voice": timbre or next(iter(voices), ""),
            "speed": min(max(voice.pace, SLOWEST), FASTEST) if paced else 1.0,
        }
        if directed:
            knobs["instructions"] = instructions_of(voice)
        told = Honour.APPROXIMATE if directed else Honour.NONE
        report = {
            "timbre": Honour.EXACT,
            "prosody.pitch": Honour.NONE,
            "prosody.range": told,
            "prosody.volume": Honour.NONE,
            "accent": told,
            "emotion_priors": told if voice.emotion_priors else Honour.NONE,
            "pace": Honour.EXACT if paced else Honour.NONE,
        }
        return stretch.completed(Projection(knobs, report), voice)

    @classmethod
    def worker_command(cls) -> list[str]:
        return python_worker(cls.name)

    # --- in the engine's process ---

    def warm_up(self) -> None:
        """Loads the client and opens nothing yet: the first sentence says whether the service is there."""
        from .openai_exchange import Exchange
        from .openai_take import Takes

        lack = self.lacks()
        service = self._usable()
        if lack is not None or service is None:
            raise Unavailable(f"{self.name}: {lack.reason}; {lack.remedy}" if lack is not None else self.name)
        stretch.prepare()
        self._exchange = Exchange(service, _key(service))
        self._takes = Takes(self._begin, service.rate)

    def render(self, request: Request) -> Iterator[AudioChunk]:
        """The same sentence of the same stream gives the same samples while it is kept. Raises AdapterError."""
        if self._takes is None:
            raise Unavailable(f"{self.name} was not warmed up")
        return self._takes.render(request)

    def close(self) -> None:
        if self._takes is not None:
            self._takes.close()
        if self._exchange is not None:
            self._exchange.close()

    def _begin(self, request: Request) -> Iterator[Block]:
        """A new rendition, from its first sample on, as its persona wants it."""
        blocks = self._blocks(request)
        post = {name: float(request.knobs[name]) for name in stretch.POST_KNOBS if name in request.knobs}
        service = self._usable()
        return stretch.processed(blocks, service.rate, post) if post and service is not None else blocks

    def _blocks(self, request: Request) -> Iterator[Block]:
        """What the service says; empty blocks while nothing comes. Raises Unspeakable, Broken, Unavailable."""
        from .openai_exchange import question_of

        service, exchange = self._usable(), self._exchange
        if service is None or exchange is None:
            raise Unavailable(f"{self.name} was not warmed up")
        if is_silent(request.text):
            return
        _check(request.text, service)
        speed = float(request.knobs.get("speed", 1.0))
        voice, instructions = str(request.knobs.get("voice", "")), str(request.knobs.get("instructions", ""))
        question = question_of(service, clean(request.text), voice, speed, instructions)
        at, markers = 0, estimate.words(request.text, service.rate, speed)
        for pcm in exchange.spoken(question):
            if pcm is None:
                yield Block(at, EMPTY)
                continue
            yield Block(at, pcm, markers)
            at, markers = at + len(pcm), ()


def _speaks(languages: tuple[str, ...], accent: str) -> bool:
    """By the primary subtag: a service that speaks English takes any of its accents."""
    wanted = accent.lower().partition("-")[0]
    return any(language.lower().partition("-")[0] == wanted for language in languages)


def _check(text: str, service: Service) -> None:
    """Raises Unspeakable where the service cannot read `text`."""
    script = foreign_script(text, service.languages)
    if script:
        raise Unspeakable(f"{service.place} speaks {', '.join(service.languages)}; most of this text is {script}")
    if len(text) > MOST_TEXT:
        raise Unspeakable(f"{service.place} takes at most {MOST_TEXT} characters at once; this text has {len(text)}")


def _key(service: Service) -> str:
    """The key for that service, from the environment only; empty where it needs none. Raises Unavailable."""
    for variable in service.key_variables:
        key = os.environ.get(variable, "").strip()
        if not key:
            continue
        if len(key) > MOST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise Unavailable(f"{variable} does not hold a key: it has spaces, or characters that no key has")
        return key
    return ""
