"""One forked process that speaks one sentence of espeak-ng into its pipe: the library, its callback, the records.

Knows nothing of requests: it is told a setting, then a text and a seed, and blocks while nobody reads. The
standard library only.
"""

from __future__ import annotations

import ctypes as c
import json
import os
import resource
import struct
from typing import NamedTuple, NoReturn

from adapters import sandbox
from adapters.voices import espeak_shape
from adapters.voices.espeak_shape import Event, Mark

CPU_SECONDS = 20
"""A minute of speech takes 0.04 s; a child that needs longer than this hangs in a rule."""

KNOBS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4}
"""Our names of the library's parameters."""

SYNCHRONOUS, BUFFER_MS, OPTIONS = 2, 20, 0x8001
"""Callbacks on this thread; small buffers; phoneme events, and no exit on errors."""
UTF8_ENDPAUSE = 0x1001

LENGTH = struct.Struct("<I")
RECORD = struct.Struct("<BI")
PCM, MARK, END, FAULT = range(4)
"""What a child writes: kind and length, then int16 samples, a JSON row, nothing, a text."""


class _Id(c.Union):
    _fields_ = [("number", c.c_int), ("name", c.c_char_p), ("string", c.c_char * 8)]


class _Event(c.Structure):
    _fields_ = [
        ("type", c.c_int),
        ("uid", c.c_uint),
        ("text_position", c.c_int),
        ("length", c.c_int),
        ("audio_position", c.c_int),
        ("sample", c.c_int),
        ("user_data", c.c_void_p),
        ("id", _Id),
    ]


CALLBACK = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))


def load(library: str, home: str) -> tuple[c.CDLL, int]:
    """The initialised library and its rate. Raises OSError with what is wrong."""
    lib = c.CDLL(library)
    lib.espeak_Initialize.argtypes = [c.c_int, c.c_int, c.c_char_p, c.c_int]
    lib.espeak_Synth.argtypes = [c.c_void_p, c.c_size_t, c.c_uint, c.c_int, c.c_uint, c.c_uint, c.c_void_p, c.c_void_p]
    lib.espeak_SetVoiceByName.argtypes = [c.c_char_p]
    lib.espeak_SetParameter.argtypes = [c.c_int, c.c_int, c.c_int]
    lib.espeak_ng_SetRandSeed.argtypes = [c.c_long]
    lib.espeak_Info.argtypes = [c.c_void_p]
    lib.espeak_Info.restype = c.c_char_p
    rate = lib.espeak_Initialize(SYNCHRONOUS, BUFFER_MS, os.fsencode(home), OPTIONS)
    if rate != espeak_shape.RATE:
        raise OSError(f"espeak-ng finds no data in {home} (it answered {rate})")
    return lib, rate


def _events(head: c.Array[_Event]) -> list[Event]:
    """The events of one callback; the list ends at type 0."""
    found = []
    for raw in head:
        if not raw.type:
            break
        label = raw.id.string.decode("utf-8", "replace") if raw.type == espeak_shape.PHONEME else ""
        found.append(Event(raw.type, raw.text_position, raw.length, raw.sample, label))
    return found


class Setting(NamedTuple):
    """What a child sets before it knows its text."""

    voice: str
    knobs: tuple[tuple[str, int], ...]


def prepare(lib: c.CDLL, setting: Setting) -> str:
    """Load the voice and set its knobs; returns what is wrong, or nothing. Once in a fork."""
    if lib.espeak_SetVoiceByName(setting.voice.encode()) != 0:
        return f"espeak-ng has no voice {setting.voice}"
    for name, value in setting.knobs:
        lib.espeak_SetParameter(KNOBS[name], value, 0)
    return ""


def speak(lib: c.CDLL, text: str, seed: int, pipe: int) -> None:
    """The whole sentence as records; only ever called in a fresh fork, once, after `prepare`."""
    shaper = espeak_shape.Shaper(len(text))

    def sink(wave: c._Pointer[c.c_short], count: int, head: c.Array[_Event]) -> int:
        if wave and count > 0:
            marks, pcm = shaper.push(c.string_at(wave, 2 * count), _events(head))
            _put(pipe, marks, pcm)
        return 0

    callback = CALLBACK(sink)
    lib.espeak_SetSynthCallback(callback)
    lib.espeak_ng_SetRandSeed(seed)
    coded = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
    if lib.espeak_Synth(coded, len(coded), 0, 1, 0, UTF8_ENDPAUSE, None, None) != 0:
        _write(pipe, _record(FAULT, b"espeak-ng refused the text"))
        return
    _put(pipe, [], shaper.end())
    _write(pipe, _record(END, b""))


def _put(pipe: int, marks: list[Mark], pcm: bytes) -> None:
    """One callback in one write, marks first: the zygote wakes once."""
    records = [_record(MARK, json.dumps(mark).encode()) for mark in marks]
    if pcm:
        records.append(_record(PCM, pcm))
    if records:
        _write(pipe, b"".join(records))


def _record(kind: int, payload: bytes) -> bytes:
    return RECORD.pack(kind, len(payload)) + payload


def _write(pipe: int, data: bytes) -> None:
    """Blocks while the zygote does not read: that is the backpressure. Nobody there ends the child."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(pipe, rest) :]
    except OSError:
        os._exit(1)


def live(lib: c.CDLL, setting: Setting, orders: int, pipe: int, zygote: int) -> NoReturn:
    """A child's whole life: prepare, wait for one order, speak it."""
    try:
        sandbox.die_with_parent(zygote)
        sandbox.lower(resource.RLIMIT_CPU, CPU_SECONDS)
        fault = prepare(lib, setting)
        text, seed = _order(orders)
        if fault:
            _write(pipe, _record(FAULT, fault.encode()))
        else:
            speak(lib, text, seed, pipe)
    finally:
        os._exit(0)


def _order(orders: int) -> tuple[str, int]:
    """Waits for what to say: its length, then JSON."""
    length = LENGTH.unpack(_exactly(orders, LENGTH.size))[0]
    text, seed = json.loads(_exactly(orders, length))
    return text, seed


def _exactly(pipe: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += os.read(pipe, count - len(data)) or os._exit(0)
    return data
