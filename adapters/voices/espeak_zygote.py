"""espeak-ng's process: one thread, one initialised library, a fork for every sentence.

Started as `python -I -S espeak_zygote.py LIBRARY HOME`. Knows nothing of rings or
deadlines. A forked child speaks the whole sentence into its pipe and blocks there, which is the
backpressure; the zygote gives out [cursor, cursor + samples) of it. A child is a cache: one that is
missing, behind or killed is spoken again from the start and skipped forward. The library is deterministic
only in a fresh process, hence the fork, and only in one thread. One spare child is forked ahead while
nothing is to do, prepared for the voice that spoke last: it takes the fork out of the first sound.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections import OrderedDict, deque
from ctypes import CDLL
from typing import NamedTuple

if not __package__:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from adapters import framing, sandbox
from adapters.framing import Frame, Kind
from adapters.voices import espeak_child, espeak_scripts, espeak_shape
from adapters.voices.espeak_child import END, LENGTH, MARK, PCM, RECORD, Setting

FIRST = 441
"""Native samples of the smallest first piece: 20 ms, one frame of the ring."""

READ = 65_536
"""Bytes of one read from a child: what its pipe holds, 1.5 s of sound."""

MAX_HELD = 32
"""Children kept between two requests of their sentence: two for each of the 16 that may render at once."""

MAX_RENDERS = 64
"""Requests in work; the host sends at most 16, more is a broken host."""

MAX_OUTGOING = 1 << 20
"""Bytes waiting for the host; above it no child is read, so a host that sleeps costs a mebibyte."""

COLLECT_S = 0.05
"""How soon killed children are collected; they need a few milliseconds to be gone."""

RESPAWNS = 3
"""Times a sentence is spoken again within one request before the request is broken."""


MEMORY_BYTES = 512 << 20
"""Data of this process or a child: the library needs a few mebibytes."""


DEFAULTS = (("rate", 175), ("volume", 100), ("pitch", 50), ("range", 50))
"""What a voice that changes nothing asks for: what the first spare is prepared for."""

PRIOR_TEXT = "One two three four five six."


class Score(NamedTuple):
    """Everything a sentence's sound depends on, and the stream it was asked for; the key of its child."""

    stream: str
    text: str
    voice: str
    knobs: tuple[tuple[str, int], ...]
    seed: int


def setting_of(score: Score) -> Setting:
    """The voice that reads this text, and its knobs."""
    return Setting(espeak_scripts.voice_for(score.text, score.voice), score.knobs)


class Child:
    """A process that speaks one sentence: what was read of it, and where in the sentence that begins."""

    __slots__ = ("_orders", "_partial", "ended", "fault", "marks", "pcm", "pid", "pipe", "position", "setting")

    def __init__(self, setting: Setting, pid: int, orders: int, pipe: int) -> None:
        self.setting = setting
        self.pid = pid
        self._orders = orders
        self.pipe = pipe
        self.position = 0
        self.pcm = bytearray()
        self.marks: deque[list[object]] = deque()
        self.ended = False
        self.fault: str | None = None
        self._partial = bytearray()

    @property
    def available(self) -> int:
        """Samples that can be taken now."""
        return len(self.pcm) // 2

    def read(self) -> bool:
        """Takes what is in the pipe; false when it closed before the sentence ended."""
        data = os.read(self.pipe, READ)
        self.absorb(data)
        return bool(data) or self.ended or self.fault is not None

    def absorb(self, data: bytes) -> None:
        """Takes the records that `data` completes."""
        self._partial += data
        start = 0
        while len(self._partial) - start >= RECORD.size:
            kind, length = RECORD.unpack_from(self._partial, start)
            end = start + RECORD.size + length
            if len(self._partial) < end:
                break
            self._take(kind, bytes(self._partial[start + RECORD.size : end]))
            start = end
        del self._partial[:start]

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == PCM:
            self.pcm += payload
        elif kind == MARK:
            self.marks.append(json.loads(payload))
        elif kind == END:
            self.ended = True
        else:
            self.fault = payload.decode("utf-8", "replace")

    def take(self, samples: int) -> tuple[bytes, list[list[object]]]:
        """The next `samples` samples and the marks in them."""
        pcm = bytes(self.pcm[: 2 * samples])
        del self.pcm[: 2 * samples]
        self.position += samples
        marks = []
        while self.marks and int(str(self.marks[0][1])) < self.position:
            marks.append(self.marks.popleft())
        return pcm, marks

    def order(self, score: Score) -> None:
        """Say this. A child that died meanwhile shows in its pipe."""
        data = json.dumps([score.text, score.seed]).encode()
        rest = memoryview(LENGTH.pack(len(data)) + data)
        try:
            while rest:
                rest = rest[os.write(self._orders, rest) :]
        except BrokenPipeError:
            return

    def kill(self) -> int:
        """Ends the process; its pid is returned, to be collected and never signalled again."""
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.pipe)
        os.close(self._orders)
        return self.pid


class Render:
    """One request in work: it still owes [at, stop) of its sentence."""

    __slots__ = ("at", "child", "mark", "respawns", "score", "sent", "stop")

    def __init__(self, score: Score, cursor: int, samples: int, child: Child, began: float = 0.0) -> None:
        self.score = score
        self.at = cursor
        self.stop = cursor + samples
        self.child = child
        self.sent = 0
        self.respawns = 0
        self.mark = began


class Zygote:
    """Requests in, pieces out, children between."""

    def __init__(self, lib: CDLL, wire: socket.socket) -> None:
        self._lib = lib
        self._wire = wire
        self._parser = framing.Parser()
        self._pid = os.getpid()
        self._renders: dict[int, Render] = {}
        self._held: OrderedDict[Score, Child] = OrderedDict()
        self._outgoing = bytearray()
        self._spare: Child | None = None
        self._dying: list[int] = []
        self._last = Setting("gmw/en", DEFAULTS)

    def run(self) -> None:
        """Until the host closes; children then die with this process."""
        self._wire.setblocking(False)
        while True:
            if not self._renders:
                self._rest()
            pipes = {}
            if len(self._outgoing) <= MAX_OUTGOING:
                pipes = {render.child.pipe: id for id, render in self._renders.items()}
            readers: list[int | socket.socket] = [self._wire, *pipes]
            writers = [self._wire] if self._outgoing else []
            ready, writable, _ = select.select(readers, writers, [], COLLECT_S if self._dying else None)
            if writable:
                self._flush()
            for source in ready:
                if source is self._wire:
                    self._receive()
            for source in ready:
                if isinstance(source, int) and pipes[source] in self._renders:
                    self._read(pipes[source], source)

    def _rest(self) -> None:
        """No sentence is due: collect the dead, have one child ready for the voice that spoke last."""
        self._dying = [pid for pid in self._dying if os.waitpid(pid, os.WNOHANG)[0] == 0]
        if self._spare is not None and self._spare.setting != self._last:
            self._kill(self._spare)
            self._spare = None
        if self._spare is None:
            self._spare = self._fork(self._last)

    def _kill(self, child: Child) -> None:
        """The dead are collected when nothing is to do; while that does not come, at most `MAX_HELD` wait."""
        self._dying.append(child.kill())
        if len(self._dying) > MAX_HELD:
            os.waitpid(self._dying.pop(0), 0)

    def _receive(self) -> None:
        try:
            data = self._wire.recv(READ)
        except BlockingIOError:
            return
        if not data:
            os._exit(0)
        for frame in self._parser.feed(data):
            if frame.kind is Kind.RENDER:
                self._begin(frame)
            elif frame.kind is Kind.CANCEL:
                self._cancel(frame.id)
            elif frame.kind is Kind.CLOSE:
                os._exit(0)
            else:
                raise framing.FramingError(f"{frame.kind.name} is not for a worker")

    def _begin(self, frame: Frame) -> None:
        if len(self._renders) >= MAX_RENDERS:
            raise framing.FramingError(f"more than {MAX_RENDERS} requests at once")
        began = time.monotonic()
        score, cursor, samples = request_of(frame)
        child = self._held.pop(score, None)
        if child is not None and child.position > cursor:
            self._kill(child)
            child = None
        render = self._renders[frame.id] = Render(score, cursor, samples, child or self._speaker(score), began)
        self._advance(frame.id, render)

    def prior(self) -> list[float]:
        """[audio_ms, render_ms] of one sentence spoken to its end: proves that forking and speaking work."""
        began = time.monotonic()
        child = self._speaker(Score("prior", PRIOR_TEXT, self._last.voice, self._last.knobs, 1))
        while not child.ended:
            if not child.read() or child.fault is not None:
                raise OSError(child.fault or "espeak-ng died in its first sentence")
        self._kill(child)
        return [1000.0 * child.available / espeak_shape.RATE, 1000.0 * (time.monotonic() - began)]

    def _cancel(self, id: int) -> None:
        render = self._renders.pop(id, None)
        if render is not None:
            self._kill(render.child)

    def _speaker(self, score: Score) -> Child:
        """A child that has begun to speak `score`: the spare if it fits."""
        self._last = setting_of(score)
        child, self._spare = self._spare, None
        if child is None or child.setting != self._last:
            if child is not None:
                self._kill(child)
            child = self._fork(self._last)
        child.order(score)
        return child

    def _fork(self, setting: Setting) -> Child:
        pipe, mouth = os.pipe()
        ear, orders = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._wire.close()
            os.close(pipe)
            os.close(orders)
            espeak_child.live(self._lib, setting, ear, mouth, self._pid)
        os.close(mouth)
        os.close(ear)
        return Child(setting, pid, orders, pipe)

    def _read(self, id: int, pipe: int) -> None:
        render = self._renders[id]
        if render.child.pipe != pipe:
            return
        if render.child.read():
            self._advance(id, render)
            return
        self._kill(render.child)
        render.respawns += 1
        if render.respawns > RESPAWNS:
            del self._renders[id]
            self._fail(id, f"espeak-ng died {render.respawns} times in this sentence")
        else:
            render.child = self._speaker(render.score)

    def _advance(self, id: int, render: Render) -> None:
        """Send what can be sent. Whether a piece is the last is known only one record later, hence the wait."""
        child = render.child
        if child.fault is not None:
            del self._renders[id]
            self._kill(child)
            self._fail(id, child.fault)
            return
        if child.position < render.at:
            child.take(min(child.available, render.at - child.position))
        if child.position < render.at and not child.ended:
            return
        owed = max(0, render.stop - child.position)
        count = min(child.available, owed)
        last = (child.ended and child.available <= owed) or child.available > owed
        if not last and (child.available == owed or count < (FIRST if render.sent == 0 else 1)):
            return
        pcm, marks = child.take(count)
        render.at = child.position
        render.sent += count
        self._send(framing.encode(Kind.PIECE, id, self._fields(render, marks, last), pcm))
        if last:
            del self._renders[id]
            self._keep(render)

    def _fields(self, render: Render, marks: list[list[object]], last: bool) -> dict[str, object]:
        """The JSON of a PIECE."""
        now = time.monotonic()
        fields: dict[str, object] = {
            "sample_rate": espeak_shape.RATE,
            "format": "s16",
            "markers": marks,
            "cursor": render.at,
            "last": last,
            "eos": last and render.child.ended and render.child.available == 0,
            "render_ms": 1000.0 * (now - render.mark),
            "state": 0,
        }
        render.mark = now
        return fields

    def _fail(self, id: int, text: str) -> None:
        self._send(framing.encode(Kind.ERROR, id, {"error": "broken", "text": text}))

    def _keep(self, render: Render) -> None:
        """Hold the child for the sentence's next request; the one unused for longest makes room."""
        child = render.child
        if (child.ended and child.available == 0) or render.score in self._held:
            self._kill(child)
            return
        self._held[render.score] = child
        if len(self._held) > MAX_HELD:
            self._kill(self._held.popitem(last=False)[1])

    def _send(self, data: bytes) -> None:
        self._outgoing += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: self._wire.send(self._outgoing)]
        except BlockingIOError:
            return
        except OSError:
            os._exit(0)


def request_of(frame: Frame) -> tuple[Score, int, int]:
    """Score, cursor and samples of a RENDER. Raises FramingError where a field is missing or of another type."""
    fields = frame.fields
    try:
        knobs = fields["knobs"]
        if not isinstance(knobs, dict):
            raise TypeError("knobs is not an object")
        cursor, samples, seed = (int(str(fields[name])) for name in ("cursor", "samples", "seed"))
        if cursor < 0 or samples < 0:
            raise ValueError("cursor and samples count from 0")
        values = tuple((name, int(knobs[name])) for name in espeak_child.KNOBS if name in knobs)
        voice = str(knobs.get("voice", "gmw/en"))
        return Score(str(fields["stream"]), str(fields["text"]), voice, values, seed & 0x7FFF_FFFF), cursor, samples
    except (KeyError, TypeError, ValueError) as error:
        raise framing.FramingError(f"RENDER: {error!r}") from error


def main(library: str, home: str) -> int:
    level = sandbox.enter()
    sandbox.lower(resource.RLIMIT_DATA, MEMORY_BYTES)
    wire = socket.socket(fileno=sandbox.socket_descriptor())
    began = time.monotonic()
    try:
        lib, rate = espeak_child.load(library, home)
        zygote = Zygote(lib, wire)
        gc.collect()
        gc.freeze()
        speed = zygote.prior()
    except OSError as error:
        wire.sendall(framing.encode(Kind.ERROR, 0, {"error": "unavailable", "text": str(error)}))
        return 1
    ready = {
        "version": lib.espeak_Info(None).decode(),
        "sample_rate": rate,
        "warm_ms": 1000.0 * (time.monotonic() - began),
        "prior": [speed],
        "sandbox": level,
    }
    wire.sendall(framing.encode(Kind.READY, 0, ready))
    try:
        zygote.run()
    except framing.FramingError as error:
        sys.stderr.write(f"the host broke the framing: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
