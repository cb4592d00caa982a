"""A live scene: a server of its own, a caller, and the take that log and tap make together.

Knows no story.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from adapters import registry

from . import shapes
from .caller import Caller, peaks
from .replayed import raw_of, same_again
from .scene import Performance, Stage
from .server import Server, no_file
from .shapes.figures import Finding, found
from .take import Row, Take, ledger, number

QUIET = 0.02
"""Of the loudest packet: what a decoder makes of silence after speech is far below it."""
Story = Callable[[Caller, Server], Awaitable[Sequence[Finding]]]


def perform(stage: Stage, story: Story) -> Performance:
    """Tell `story` to a caller of a server of its own; judge what is left."""
    return asyncio.run(_perform(stage, story))


async def _perform(stage: Stage, story: Story) -> Performance:
    with tempfile.TemporaryDirectory(prefix="synchrony-scene-") as folder:
        journal = Path(folder) / "journal"
        async with Server(stage.engine, journal) as server:
            async with Caller(server.url) as caller:
                findings = list(await story(caller, server))
                held = server.held_open([journal])
            session = caller.session
        rows = server.log(session)
        findings.append(no_file(server, held))
    render = stage.company.render
    raw = await asyncio.to_thread(raw_of, rows, render)
    spoken = {str(row["adapter"]) for row in rows if row.get("kind") == "request"}
    rates = {name: registry.describe(name).sample_rate for name in spoken}
    take = replace(take_of(rows, caller), raw=raw, rates=rates)
    again = await asyncio.to_thread(same_again, rows, render)
    judged = [shape(take) for shape in shapes.ALWAYS]
    return Performance(take, (*judged, on_the_wire(take, caller), again, *findings))


def take_of(rows: Sequence[Row], caller: Caller) -> Take:
    """The log's frames with the tap's samples, in the order in which both have them."""
    sent = [replace(frame, pcm=pcm) for (frame, _), pcm in zip(ledger(rows), caller.frames(), strict=False)]
    texts: dict[str, str] = {}
    for row in rows:
        if row.get("kind") == "input":
            name = str(row["utterance"])
            texts[name] = texts.get(name, "") + str(row["text"])
    return Take(texts=texts, sent=tuple(sent), rows=tuple(rows))


def on_the_wire(take: Take, caller: Caller) -> Finding:
    """Packets arrive in order, each at the time of a frame of the log; speech is loud, a stop is silent.

    After each `flush` the packets from its RTP time to the next frame of speech decode to silence.
    """
    level = peaks(caller.packets)
    stamps = [packet.timestamp for packet in caller.packets]
    faults = [f"packet {b} follows {a}" for a, b in pairwise(stamps) if not 0 < (b - a) % 2**32 < 2**31]
    flushes = [flush for flush in caller.event("flush") if flush.get("rtp") is not None]
    if stamps and take.sent:
        zero = (stamps[0] - take.sent[0].n * 960) % 2**32
        frames = {(stamp - zero) % 2**32 / 960 for stamp in stamps}
        strange = frames - {float(frame.n) for frame in take.sent}
        faults += [f"a packet at frame {at:g}, which never left" for at in sorted(strange)]
        faults += _still(take, flushes, {(stamp - zero) % 2**32 // 960: peak for stamp, peak in level.items()}, zero)
    loudest = max(level.values(), default=0)
    if loudest < 1000:
        faults.append(f"nothing was heard: the loudest sample is {loudest}")
    return found("on_the_wire", faults, packets=len(stamps), loudest=loudest, stops=len(flushes))


def _still(take: Take, flushes: Sequence[Mapping[str, object]], level: Mapping[int, int], zero: int) -> list[str]:
    faults = []
    most = QUIET * max(level.values(), default=0)
    voiced = [frame.n for frame in take.sent if frame.kind == "voice"]
    for flush in flushes:
        named = (int(str(flush["rtp"])) - zero) % 2**32 // 960
        # The fade is the next frame that leaves; a server that is late gives it a later number.
        fade = next((frame.n for frame in take.sent if frame.kind == "cut" and frame.n >= named - 2), named - 2)
        stop = max(named, fade + 1)
        again = next((n for n in voiced if n >= stop), stop + 1000)
        loud = [n for n in range(stop, again) if level.get(n, 0) > most]
        if named != number(flush, "frame") + 2:
            faults.append(f"the flush of frame {flush['frame']} names frame {named}")
        if loud:
            faults.append(f"after the flush of frame {flush['frame']} packet {loud[0]} sounds")
    return faults
