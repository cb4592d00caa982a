"""Addresses and connectivity checks of this process: loopback only, with our fast ICE or the library's own.

Knows no call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aioice.ice


def own_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """What takes the place of `get_host_addresses`."""
    return ["127.0.0.1"] if use_ipv4 else []


def stay_home() -> None:
    """No other candidate than 127.0.0.1; before `peer.guard` is imported, so that it finds this one."""
    aioice.ice.get_host_addresses = own_addresses


@contextmanager
def ice(ours: bool) -> Iterator[None]:
    """Inside, this process gathers loopback only, with our guard or without any patch of ours."""
    from peer import guard

    before = bool(guard.status()["patches"])
    if ours:
        guard.install(guard.Loopback.ONLY)
    else:
        guard.uninstall()
        stay_home()
    try:
        yield
    finally:
        guard.uninstall()
        if before:
            guard.install()
