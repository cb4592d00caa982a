"""One question to a speech service and its answer, step by step: sent, waited for, checked, read, tried again.

Knows no sentence in progress and no sandbox. It runs on a loop of its own that turns only while somebody waits, and
gives way every few milliseconds, so that whoever waits can leave; leaving closes the connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Generator, Mapping
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import aiohttp
import numpy as np

from peer.core.errors import Broken, Unavailable
from peer.core.pcm import EMPTY, Float

from .openai_reply import Verdict, complaint, named_rate, plain, retry_after, verdict
from .openai_service import Service
from .openai_sound import NotSoundError, Sound

LOOK_S = 0.02
"""How long the loop turns before it gives way: a frame; a cancel is heard after this long."""

TRIES = 3
"""Times one sentence is asked for, while none of it was heard; a fourth would outlast any buffer."""

PAUSES_S = (0.1, 0.5)
"""Before the second and the third try, where the service does not say how long to wait."""

RETRY_AFTER_S = 3.0
"""What a service may ask us to wait; beyond it another engine speaks instead."""

PIECE_MS = 20
"""Sound of the smallest piece, one frame: an answer that breaks before the first is asked for again, unheard."""

MOST_S = 10.0
MOST_S_PER_CHARACTER = 0.6
"""Bounds a sentence's sound: twice what long numbers take at the slowest reader's pace, and a pause."""

MOST_COMPLAINT = 2048
"""Bytes of an error's body that are read."""

SETTLE_TURNS = 4
"""Turns of the loop after which a closed connection is gone from the kernel as well."""

log = logging.getLogger(__name__)
T = TypeVar("T")
Steps = Generator[None, None, T]
"""Gives way while it waits, and returns what it waited for."""

Pieces = Generator[Float | None, None, None]
"""Sound, (n,) float32 each, and None where it gives way."""


class Question(NamedTuple):
    """`body` is the JSON sent; `most_s` the seconds of sound an honest answer can have."""

    body: Mapping[str, object]
    most_s: float


class _PassingError(Exception):
    """This try failed; the next may not. `after_s` is how long the service wants to be left alone."""

    def __init__(self, text: str, after_s: float | None = None) -> None:
        super().__init__(text)
        self.after_s = after_s


def question_of(service: Service, text: str, voice: str, speed: float, instructions: str) -> Question:
    """What is asked for a text. Fields that the operator left out are not sent: some services refuse what they
    do not know."""
    body: dict[str, object] = {
        "model": service.model,
        "input": text,
        "voice": voice,
        "response_format": service.format,
    }
    if service.speed:
        body["speed"] = speed
    if instructions:
        body["instructions"] = instructions
    if service.stream_format:
        body["stream_format"] = service.stream_format
    if service.stream:
        body["stream"] = True
    return Question(body, (MOST_S + MOST_S_PER_CHARACTER * len(text)) / min(speed, 1.0))


class Exchange:
    """The line to one service. `spoken` may be asked for many sentences at once; each goes on where it is iterated."""

    def __init__(self, service: Service, key: str) -> None:
        self._service = service
        self._key = key
        self._runner = asyncio.Runner()
        self._session = self._runner.run(self._opened())
        self._reads = 0

    @property
    def reads(self) -> int:
        """Pieces of answers read so far: this engine's own steps."""
        return self._reads

    async def _opened(self) -> aiohttp.ClientSession:
        headers = {"Accept-Encoding": "identity", "User-Agent": "synchrony"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        # Deadlines of the session would run on while nobody asks; ours count only while we wait.
        return aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._service.connect_s),
            connector=aiohttp.TCPConnector(limit=0, resolver=aiohttp.ThreadedResolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    def spoken(self, question: Question) -> Pieces:
        """The sound of an answer, (n,) float32 each, at the service's rate; None where there is nothing yet.

        Raises Unavailable where asking again is of no use, Broken where this sentence is not to be had.
        """
        for attempt in range(TRIES):
            heard = False
            try:
                with closing(self._attempt(question)) as pieces:
                    for pcm in pieces:
                        heard = heard or pcm is not None
                        yield pcm
                return
            except _PassingError as failure:
                pause = failure.after_s if failure.after_s is not None else PAUSES_S[min(attempt, len(PAUSES_S) - 1)]
                why = self._said(str(failure))
                if pause > RETRY_AFTER_S:
                    raise Broken(f"{why}; it wants to be left alone for {pause:g} s") from None
                if heard or attempt + 1 == TRIES:
                    raise Broken(why) from None
                log.warning("%s; asked again", why)
            yield from self._awaited(asyncio.sleep(pause), pause + 1.0)

    def close(self) -> None:
        """Ends every connection; twice is once."""
        if not self._session.closed:
            self._runner.run(self._session.close())
            self._settle()
            self._runner.close()

    # --- one try ---

    def _attempt(self, question: Question) -> Pieces:
        response = yield from self._asked(question)
        try:
            yield from self._checked(response)
            yield from self._read(response, question.most_s)
        except NotSoundError as error:
            raise Broken(self._said(str(error))) from None
        finally:
            response.close()
            self._settle()

    def _asked(self, question: Question) -> Steps[aiohttp.ClientResponse]:
        """The head of an answer."""
        service = self._service
        try:
            return (yield from self._awaited(self._post(question), service.first_s))
        except TimeoutError:
            raise _PassingError(f"gave no answer within {service.first_s:g} s") from None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise Unavailable(self._said(f"is not who it should be ({plain(str(error))}); check url")) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _PassingError(f"cannot be reached ({plain(str(error) or type(error).__name__)})") from None

    async def _post(self, question: Question) -> aiohttp.ClientResponse:
        return await self._session.post(self._service.url, json=question.body, allow_redirects=False)

    def _checked(self, response: aiohttp.ClientResponse) -> Steps[None]:
        """Passes where sound follows. Raises Unavailable, Broken or _PassingError with what the service said."""
        status, kind = response.status, response.headers.get("Content-Type", "").lower()
        match verdict(status, kind, response.headers.get("Content-Encoding", "identity")):
            case Verdict.SOUND:
                return
            case Verdict.ENCODED:
                raise Broken(self._said(f"sent {plain(kind)} though {self._service.format} was asked for"))
            case Verdict.ELSEWHERE:
                why = f"sends us elsewhere ({status}), where no key is taken; name the right url"
                raise Unavailable(self._said(why))
            case Verdict.KEY:
                names = " or ".join(self._service.key_variables)
                why = f"does not take our key ({status}); set {names} in the server's environment"
                raise Unavailable(self._said(why))
            case Verdict.SOUNDLESS:
                said = yield from self._complaint(response)
                raise Broken(self._said(f"sent {plain(kind.partition(';')[0])} instead of sound{said}"))
            case found:
                said = yield from self._complaint(response)
        if found is Verdict.PASSING:
            raise _PassingError(f"answered {status}{said}", retry_after(response.headers.get("Retry-After")))
        if found is Verdict.WRONG:
            raise Unavailable(self._said(f"answered {status}{said}; check url, model and key"))
        raise Broken(self._said(f"answered {status}{said}"))

    def _complaint(self, response: aiohttp.ClientResponse) -> Steps[str]:
        """The begin of an error's body as one plain line, the key taken out."""
        try:
            data = yield from self._awaited(response.content.read(MOST_COMPLAINT), self._service.silence_s)
        except (TimeoutError, aiohttp.ClientError, OSError):
            return ""
        return complaint(data, self._key)

    def _read(self, response: aiohttp.ClientResponse, most_s: float) -> Pieces:
        """The body as sound, every piece but the last a frame long at least, in all what an honest answer has."""
        rate = self._service.rate
        sound = Sound(rate, named_rate(response.headers.get("Content-Type", "")) or rate)
        held, heard, least, most = EMPTY, 0, rate * PIECE_MS // 1000, round(most_s * rate)
        while data := (yield from self._next(response)):
            self._reads += 1
            held = np.concatenate([held, sound.feed(data)])
            if heard + len(held) > most:
                raise Broken(self._said(f"sent more than {most_s:.0f} s of sound for one sentence"))
            if len(held) >= least:
                heard += len(held)
                yield held
                held = EMPTY
        held = np.concatenate([held, sound.end()])
        if not heard and not len(held):
            raise _PassingError("sent no sound")
        if len(held):
            yield held

    def _next(self, response: aiohttp.ClientResponse) -> Steps[bytes]:
        limit_s = self._service.silence_s
        try:
            return (yield from self._awaited(response.content.readany(), limit_s))
        except TimeoutError:
            raise _PassingError(f"stopped in the middle for {limit_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _PassingError(f"broke off ({plain(str(error) or type(error).__name__)})") from None

    # --- the loop ---

    def _awaited(self, work: Coroutine[Any, Any, T], limit_s: float) -> Steps[T]:
        """Turns the loop until `work` is done. Raises TimeoutError, and what `work` raises; left, it cancels it."""
        until = time.monotonic() + limit_s
        task = self._runner.get_loop().create_task(work)
        try:
            while not self._turned(task):
                if time.monotonic() > until:
                    raise TimeoutError
                yield
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                self._runner.run(_ended(task))

    def _turned(self, task: asyncio.Task[T]) -> bool:
        """True once it is done."""
        self._runner.run(_ended(task, LOOK_S))
        return task.done()

    def _settle(self) -> None:
        """Lets what was closed leave."""
        for _ in range(SETTLE_TURNS):
            self._runner.run(asyncio.sleep(0))

    def _said(self, text: str) -> str:
        return f"the speech service at {self._service.place} {text}"


async def _ended(task: asyncio.Task[T], limit_s: float | None = None) -> None:
    await asyncio.wait([task], timeout=limit_s)
