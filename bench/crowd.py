"""Many callers in one cheap process: RTP is counted and thrown away before it is decrypted.

Knows no server; `grow N` on the console brings the calls up to N.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import aiohttp

from . import console, loopback
from .texts import long
from .wire import WAIT_S, Caller

AT_ONCE = 4
"""Calls set up together: their phases come apart by themselves."""
CHARACTERS = 12_000
"""One message may hold 16 KiB; the reference engine speaks this for more than ten minutes."""


class Crowd:
    """Calls that only listen; each has asked for a long speech."""

    def __init__(self, http: aiohttp.ClientSession, address: str) -> None:
        self._http = http
        self._address = address
        self._callers: list[Caller] = []
        self._text = long(CHARACTERS)[:CHARACTERS]
        self.packets = 0

    async def grow(self, wanted: int) -> dict[str, float]:
        while len(self._callers) < wanted:
            count = min(AT_ONCE, wanted - len(self._callers))
            self._callers += await asyncio.gather(*(self._one() for _ in range(count)))
        return {"calls": len(self._callers)}

    async def _one(self) -> Caller:
        caller = Caller()
        await caller.call(self._http, self._address)
        caller.say(self._text)
        self._ignore_rtp(caller)
        return caller

    def _ignore_rtp(self, caller: Caller) -> None:
        ice: Any = caller.pc.sctp.transport.transport._connection
        protocol = ice._nominated[1].protocol
        take = protocol.datagram_received

        def receive(data: bytes, address: Any) -> None:
            if len(data) > 1 and 128 <= data[0] < 192 and not 192 <= data[1] < 224:
                self.packets += 1
            else:
                take(data, address)

        protocol.datagram_received = receive

    async def close(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*(caller.close() for caller in self._callers), return_exceptions=True)


async def run(address: str) -> None:
    async with aiohttp.ClientSession() as http:
        crowd = Crowd(http, address)
        console.tell({"ready": address})
        await console.listen({"grow": lambda words: crowd.grow(int(words[0]))})


def main(argv: Sequence[str]) -> int:
    options = argparse.ArgumentParser("bench.crowd")
    options.add_argument("address")
    options.add_argument("--core", type=int)
    given = options.parse_args(argv)
    console.pin(given.core)
    loopback.stay_home()
    asyncio.run(run(given.address))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
