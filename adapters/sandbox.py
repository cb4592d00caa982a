"""What every engine's process does first: its limits, no network but what it declared, no life after the parent.

Knows no engine. Only the standard library and before any import that starts a thread: a process with
threads may not enter a new user namespace.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

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
        "socket.getnameinfo",
        "socket.sendmsg",
        "socket.sendto",
    }
)
"""Audit events of Python code that reaches for the network."""

OFFSPRING = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn", "subprocess.Popen"}
)
"""Audit events of new programs: they would not carry the hook, so a process outside a namespace may start none."""

FD_VARIABLE = "SYNCHRONY_FD"
"""The environment variable that names the descriptor of the worker's socket."""

CONFINES_VARIABLE = "SYNCHRONY_CONFINES"
"""In a worker: its confines as JSON."""

STARVED = (
    "bad_alloc", "can't allocate memory", "cannot allocate memory", "failed to allocate", "memoryerror",
    "memory allocation still failed", "out of memory", "unable to allocate",
)  # fmt: skip
"""What libraries write, lower-case, when the kernel gives them no more memory."""

FULL = 0.95
"""Of its memory: the next block that a library asks for is larger than what is left."""


class Confines(NamedTuple):
    """What one engine's process may have; the host decides.

    `network` are the only places, "name:port", that it may reach; `memory_mb` bounds its private memory
    (0: it is not bounded), `cpus` are its cores (none: all), `nice` is how far it yields to other processes.
    """

    network: tuple[str, ...] = ()
    memory_mb: int = 0
    cpus: tuple[int, ...] = ()
    nice: int = 0

    def environment(self) -> dict[str, str]:
        """What tells a worker its confines."""
        return {CONFINES_VARIABLE: json.dumps(self._asdict())}


def inherited() -> Confines:
    """The confines this process was started with; without any, those of a local engine without limits."""
    text = os.environ.get(CONFINES_VARIABLE)
    if not text:
        return Confines()
    row = json.loads(text)
    network, memory_mb, cpus, nice = (row[name] for name in Confines._fields)
    return Confines(tuple(network), int(memory_mb), tuple(cpus), int(nice))


def enter(parent: int | None = None, confines: Confines | None = None) -> str:
    """Lock this process in; returns how its network is kept: 'netns', 'allowlist' or 'audit'.

    'netns': the kernel leaves it no way out. 'audit': where the kernel gives no namespace, Python code is refused.
    'allowlist': Python code reaches the declared places only, and starts no other program.
    `parent` is the process this one must not outlive; without it the one that started it.
    """
    own = inherited() if confines is None else confines
    libc = ctypes.CDLL(None, use_errno=True)
    level = _leave_network(libc, own.network)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lower(resource.RLIMIT_NOFILE, MAX_FILES)
    _limit(own)
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


def lower(kind: int, most: int) -> None:
    """Lower a resource limit for good, never above what is allowed already."""
    _, hard = resource.getrlimit(kind)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (value, value))


def starved(text: str) -> bool:
    """True where `text`, an exception or the last words of a process, says that memory ran out (not a GPU's)."""
    found = text.lower()
    return "cuda" not in found and any(word in found for word in STARVED)


def full(memory_mb: int, pid: int | None = None) -> bool:
    """True where a process (this one) has taken nearly all of its `memory_mb`: what fails then fails for that."""
    try:
        with open(f"/proc/{pid or 'self'}/status") as rows:
            taken_kb = next((int(row.split()[1]) for row in rows if row.startswith("VmData:")), 0)
    except (OSError, ValueError):
        return False
    return memory_mb > 0 and taken_kb >= FULL * memory_mb * 1024


def starvation(memory_mb: int, about: str = "") -> str:
    """The sentence for an engine whose memory ran out; `about` is what its library said."""
    said = f" ({about})" if about else ""
    if not memory_mb:
        return f"ran out of memory: this machine has no more of it for one process{said}"
    return f"ran out of memory: its process may have {memory_mb} MB; allow more with memory_mb in its settings{said}"


def _limit(own: Confines) -> None:
    """Memory as the kernel counts private pages: model files that are mapped, and address space, do not count."""
    if own.memory_mb:
        lower(resource.RLIMIT_DATA, own.memory_mb << 20)
    if own.cpus and sys.platform == "linux":
        os.sched_setaffinity(0, own.cpus)
    if own.nice:
        os.nice(own.nice)


def _leave_network(libc: ctypes.CDLL, places: tuple[str, ...]) -> str:
    """A new user and network namespace, and the hook; a privileged process without the first can have the second."""
    if places:
        gate = _Gate(places)
        socket.getaddrinfo = gate.remembering(socket.getaddrinfo)
        sys.addaudithook(gate)
        return "allowlist"
    sys.addaudithook(_refuse_outward)
    if sys.platform == "linux":
        for flags in (CLONE_NEWUSER | CLONE_NEWNET, CLONE_NEWNET):
            if libc.unshare(flags) == 0:
                return "netns"
    return "audit"


def _refuse_outward(event: str, args: tuple[Any, ...]) -> None:
    if event in OUTWARD:
        raise PermissionError(f"{event}: an engine's process has no network")


class _Gate:
    """The audit hook of a process with declared places: their names resolve, what they resolved to is reached."""

    def __init__(self, places: Iterable[str]) -> None:
        self._said = ", ".join(places)
        self._names: set[tuple[str, int]] = set()
        self._addresses: set[tuple[str, int]] = set()
        for place in places:
            host, _, port = place.rpartition(":")
            name = _pair(host.strip("[]"), port)
            self._names.add(name)
            if _is_address(name[0]):
                self._addresses.add(name)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if (event in OUTWARD and not self._allows(event, args)) or event in OFFSPRING:
            raise PermissionError(f"{event}: this process may reach {self._said}, and nothing else")

    def _allows(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "socket.getaddrinfo":
            return _pair(args[0], args[1]) in self._names
        if event == "socket.connect":
            address = args[1]
            return isinstance(address, tuple) and _pair(*address[:2]) in self._addresses
        return event == "socket.sendmsg" and args[1] is None

    def remembering(self, resolve: Callable[..., Any]) -> Callable[..., Any]:
        """`resolve` (getaddrinfo), whose answers may be connected to from then on."""

        def getaddrinfo(host: Any, port: Any, *args: Any, **named: Any) -> Any:
            found = resolve(host, port, *args, **named)
            if _pair(host, port) in self._names:
                self._addresses |= {_pair(*row[4][:2]) for row in found}
            return found

        return getaddrinfo


def _pair(host: object, port: object) -> tuple[str, int]:
    """A name or address and its port, comparable; ("", 0) for what is neither."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    number = str(port)
    return (text.lower(), int(number)) if isinstance(text, str) and number.isdecimal() else ("", 0)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
