"""What every engine's process does first: no network, no new privileges, no core file, no life after the parent.

Knows no engine. Only the standard library and before any import that starts a thread: a process with
threads may not enter a new user namespace.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38

MAX_FILES = 1024
"""Open files of one engine: a model folder has dozens, a zygote one pipe per held sentence."""

OUTWARD = frozenset(
    {
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
    }
)
"""Audit events of Python code that reaches for the network."""

FD_VARIABLE = "SYNCHRONY_FD"
"""The environment variable that names the descriptor of the worker's socket."""


def enter(parent: int | None = None) -> str:
    """Lock this process in; returns 'netns' where the kernel keeps it off the network, else 'none'.

    `parent` is the process this one must not outlive; without it the one that started it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    level = _leave_network(libc)
    sys.addaudithook(_refuse_outward)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lower(resource.RLIMIT_NOFILE, MAX_FILES)
    if sys.platform == "linux":
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        die_with_parent(os.getppid() if parent is None else parent, libc)
    return level


def die_with_parent(parent: int, libc: ctypes.CDLL | None = None) -> None:
    """The kernel kills this process when `parent` ends; at once if it already has."""
    if sys.platform != "linux":
        return
    (libc or ctypes.CDLL(None)).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def socket_descriptor() -> int:
    """The descriptor of the worker's socket (INTERFACES.md, 5.1)."""
    return int(os.environ.get(FD_VARIABLE, "3"))


def _leave_network(libc: ctypes.CDLL) -> str:
    """A new user and network namespace; a privileged process without the first can have the second."""
    if sys.platform != "linux":
        return "none"
    for flags in (CLONE_NEWUSER | CLONE_NEWNET, CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return "netns"
    return "none"


def _refuse_outward(event: str, args: tuple[object, ...]) -> None:
    if event in OUTWARD:
        raise PermissionError(f"{event}: an engine's process has no network")


def lower(kind: int, most: int) -> None:
    """Lower a resource limit for good, never above what is allowed already."""
    _, hard = resource.getrlimit(kind)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (value, value))
