"""An engine for tests only: what it is told to do is its text, what it found out is the label of its marker.

Not in the registry: its command starts the common worker with this class.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from adapters.base import Projection
from peer.core.chunk import AudioChunk, Marker, Request
from peer.core.descriptor import Descriptor, Unit
from peer.core.errors import Unavailable, Unspeakable
from peer.core.voice import Voice

RATE = 16_000
HERE = "127.0.0.1"
"""Loopback: not even that may be reached; the test listens there, at PROBE_PORT."""

COMMAND = "from adapters import worker; from importlib import import_module as i; "
RUN = "raise SystemExit(worker.run(lambda: i('tests.shell.probe').Probe))"


def port() -> int:
    return int(os.environ["PROBE_PORT"])


def by_libc() -> None:
    """connect(2) around Python's audit hooks."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    address = (socket.AF_INET).to_bytes(2, sys.byteorder) + port().to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    if descriptor < 0 or libc.connect(descriptor, address, 16) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def by_child() -> None:
    """A process without our hooks tries to reach a listening address outside this namespace."""
    code = "import socket, os; socket.create_connection(('127.0.0.1', int(os.environ['PROBE_PORT'])), 2)"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True)


def by_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"x", (HERE, port()))


WAYS: dict[str, Callable[[], object]] = {
    "tcp": lambda: socket.create_connection((HERE, port()), 2),
    "udp": by_udp,
    "dns": lambda: socket.getaddrinfo("localhost", 80),
    "http": lambda: urllib.request.urlopen(f"http://{HERE}:{port()}/", timeout=2),
    "bind": lambda: socket.create_server((HERE, 0)),
    "libc": by_libc,
    "child": by_child,
}


def attempt(way: str) -> str:
    """The name of the error, or "reached"; `way` may be a place, and with "=" an address that is not looked up."""
    try:
        if way in WAYS:
            WAYS[way]()
        else:
            host, _, number = way.rpartition(":")
            connect = socket.socket().connect if host.startswith("=") else socket.create_connection
            connect((host.removeprefix("="), int(number)))
    except Exception as error:
        return type(error).__name__
    return "reached"


def limits() -> str:
    """Memory (bytes), files, core file, cores and niceness of this process."""
    most = [
        resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
    ]
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    return f"{' '.join(map(str, most))} {cores} {os.nice(0)}"


def facts() -> str:
    """What the kernel says of this process."""
    rows = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    interfaces = [line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]]
    return f"{rows['NoNewPrivs']} {','.join(interfaces)} {sorted(os.environ)}"


class Probe:
    """Speaks silence; its text commands it."""

    name: ClassVar[str] = "probe"

    @classmethod
    def describe(cls) -> Descriptor:
        limits = {"concurrency": 1}
        return Descriptor(cls.name, "1", Unit.MS, 1.0, RATE, (), ("und",), "the program's own", limits=limits)

    @classmethod
    def project(cls, voice: Voice) -> Projection:
        return Projection()

    @classmethod
    def worker_command(cls) -> list[str]:
        return [sys.executable, "-c", COMMAND + RUN]

    def warm_up(self) -> None:
        """Nothing."""

    def render(self, request: Request) -> Iterator[AudioChunk]:
        done = AudioChunk(np.zeros(100, np.float32), RATE, cursor=100, last=True, eos=True)
        match request.text.split():
            case ["reach", way]:
                yield replace(done, markers=(Marker("note", 0, 0, 0, attempt(way)),))
            case ["facts"]:
                yield replace(done, markers=(Marker("note", 0, 0, 0, facts()),))
            case ["limits"]:
                yield replace(done, markers=(Marker("note", 0, 0, 0, limits()),))
            case ["variable", variable]:
                yield replace(done, markers=(Marker("note", 0, 0, 0, os.environ.get(variable, "unset")),))
            case ["hang"]:
                time.sleep(1e9)
            case ["wait"]:
                while True:
                    time.sleep(0.001)
                    yield AudioChunk()
            case ["unspeakable"]:
                raise Unspeakable("this voice has no Greek")
            case ["gone"]:
                raise Unavailable("the GPU is gone; look at its cable")
            case ["eat", megabytes]:
                yield replace(done, pcm=np.ones(int(megabytes) << 18, np.float32)[:100])
            case ["fill", megabytes]:
                held = np.empty((int(megabytes) - 30) << 18, np.float32)
                raise SystemError(f"a library that does not say why with {held.nbytes} bytes")
            case ["abort"]:
                os.write(2, b"terminate called after throwing\n  what():  std::bad_alloc\n")
                os.abort()
            case ["raise"]:
                raise ValueError("as told")
            case ["nan"]:
                yield replace(done, pcm=np.full(100, np.nan, np.float32))
            case ["flood"]:
                yield replace(done, pcm=np.zeros(request.samples + 1, np.float32))
            case ["rate"]:
                yield replace(done, sample_rate=44_100)
            case ["exit"]:
                yield replace(done, last=False, eos=False)
                os._exit(3)
            case ["garbage"]:
                os.write(int(os.environ["SYNCHRONY_FD"]), b"\xff" * 64)
                yield done
            case ["endless"]:
                while True:
                    yield replace(done, pcm=np.zeros(1, np.float32), last=False, eos=False)
            case _:
                yield done

    def close(self) -> None:
        """Nothing."""


class Mute(Probe):
    """Starts and never says READY."""

    name: ClassVar[str] = "mute"

    @classmethod
    def worker_command(cls) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", "import socket; socket.socket(fileno=SystemFd).recv(1)".replace(
            "SystemFd", "int(__import__('os').environ['SYNCHRONY_FD'])"
        )]  # fmt: skip


class Failing(Probe):
    """Cannot start, and says why."""

    name: ClassVar[str] = "failing"

    @classmethod
    def worker_command(cls) -> list[str]:
        code = "from adapters import worker; from peer.core.errors import Unavailable\ndef load():\n"
        return [sys.executable, "-c", code + " raise Unavailable('run make model')\nraise SystemExit(worker.run(load))"]
