"""What may be asked of a session, and the one place where bytes become such a question.

Knows no transport: the data channel, HTTP and WebSocket all parse here, other dialects map here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .errors import Refusal
from .voice import Voice, parse_voice

PROTOCOL = 1
"""Version of the request and event shapes."""

MAX_MESSAGE = 16 * 1024
"""Bytes of one message: SCTP carries it in 15 packets, so control behind it waits under 1 ms."""
MAX_DEPTH = 8
"""Nesting: no message needs more than four levels."""
MAX_ID = 64
MAX_PLAYOUT = 8


class Mode(StrEnum):
    LOW_LATENCY = "low_latency"
    STEADY = "steady"


class AfterVoice(StrEnum):
    """What follows a spoken barge-in that nobody understood: speech goes on by itself, or waits."""

    RESUME = "resume"
    WAIT = "wait"


class Cause(StrEnum):
    """Who took the floor."""

    MESSAGE = "message"
    BUTTON = "button"
    VOICE = "voice"
    TEXT = "text"
    LOST = "lost"
    """The far end vanished; never asked for from outside."""


@dataclass(frozen=True, slots=True)
class Hints:
    """`target_chunk` in the engine's units, `cadence` names a mode of pacing for this utterance."""

    target_chunk: int | None = None
    cadence: Mode | None = None


@dataclass(frozen=True, slots=True)
class Say:
    id: str
    text: str
    end: bool = True
    utterance: str | None = None
    voice: Mapping[str, object] | None = None
    hints: Hints = Hints()
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class BargeIn:
    id: str
    cause: Cause = Cause.MESSAGE


@dataclass(frozen=True, slots=True)
class Pause:
    id: str


@dataclass(frozen=True, slots=True)
class Resume:
    id: str


@dataclass(frozen=True, slots=True)
class Abandon:
    id: str


@dataclass(frozen=True, slots=True)
class Configure:
    id: str
    adapter: str | None = None
    voice: Mapping[str, object] | None = None
    mode: Mode | None = None
    after_voice: AfterVoice | None = None


@dataclass(frozen=True, slots=True)
class Describe:
    id: str


@dataclass(frozen=True, slots=True)
class Playout:
    """What the far end plays: `rtp` is the RTP timestamp at its loudspeaker; not answered."""

    rtp: int
    jitter_ms: float = 0.0
    concealed: int = 0


Message = Say | BargeIn | Pause | Resume | Abandon | Configure | Describe | Playout
Control = BargeIn | Pause | Resume | Abandon
"""The lane that is served first and never refused for fullness."""


def _depth(value: object, level: int = 1) -> int:
    if level > MAX_DEPTH:
        return level
    if isinstance(value, dict):
        return max((_depth(v, level + 1) for v in value.values()), default=level)
    if isinstance(value, list):
        return max((_depth(v, level + 1) for v in value), default=level)
    return level


def decode(raw: bytes | str, limit: int = MAX_MESSAGE) -> dict[str, object]:
    """A JSON object from the wire. Raises Refusal naming what is wrong."""
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > limit:
        raise Refusal("too_large", "message", f"at most {limit} bytes; send long text in pieces with one utterance id")
    try:
        value = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal("malformed", "message", "send one JSON object in UTF-8") from None
    if not isinstance(value, dict):
        raise Refusal("malformed", "message", "send one JSON object")
    if _depth(value) > MAX_DEPTH:
        raise Refusal("too_deep", "message", f"nest at most {MAX_DEPTH} levels")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def request_id(value: Mapping[str, object]) -> str:
    """The `id` of a request, an idempotency key. Raises Refusal."""
    given = value.get("id")
    if not isinstance(given, str) or not 0 < len(given) <= MAX_ID or not given.isprintable():
        raise Refusal("invalid", "id", f"give a printable string of 1 to {MAX_ID} characters")
    return given


def _object(value: Mapping[str, object], name: str) -> Mapping[str, object]:
    given = value.get(name)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Refusal("invalid", name, "give an object")
    return given


def _flag(value: Mapping[str, object], name: str, default: bool) -> bool:
    given = value.get(name, default)
    if not isinstance(given, bool):
        raise Refusal("invalid", f"inputs.{name}", "give true or false")
    return given


def parse_mode(given: object) -> Mode | None:
    if given is None:
        return None
    try:
        return Mode(given)  # type: ignore[arg-type]
    except ValueError:
        raise Refusal("invalid", "mode", f"choose one of {', '.join(Mode)}") from None


def _hints(inputs: Mapping[str, object]) -> Hints:
    given = inputs.get("hints")
    if given is None:
        return Hints()
    if not isinstance(given, dict):
        raise Refusal("invalid", "inputs.hints", "give an object")
    _only(given, {"target_chunk", "cadence"}, "inputs.hints")
    target = given.get("target_chunk")
    if target is not None and (isinstance(target, bool) or not isinstance(target, int) or not 1 <= target <= 4096):
        raise Refusal("invalid", "inputs.hints.target_chunk", "give a whole number of units from 1 to 4096")
    return Hints(target, parse_mode(given.get("cadence")))


def _only(given: Mapping[str, object], known: set[str], prefix: str) -> None:
    for key in given:
        if key not in known:
            raise Refusal("unknown_field", f"{prefix}.{str(key)[:MAX_ID]}", f"known are {', '.join(sorted(known))}")


def _utterance(inputs: Mapping[str, object]) -> str | None:
    given = inputs.get("utterance")
    if given is None:
        return None
    if not isinstance(given, str) or not 0 < len(given) <= MAX_ID or not given.isprintable():
        raise Refusal("invalid", "inputs.utterance", f"give a printable string of 1 to {MAX_ID} characters")
    return given


def _text(inputs: Mapping[str, object]) -> str:
    if "tokens" in inputs:
        if "text" in inputs:
            raise Refusal("invalid", "inputs.tokens", "give either text or tokens")
        tokens = inputs["tokens"]
        if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
            raise Refusal("invalid", "inputs.tokens", "give a list of strings")
        text = "".join(tokens)
    else:
        given = inputs.get("text")
        if not isinstance(given, str):
            raise Refusal("invalid", "inputs.text", "give a string, or a list of strings as tokens")
        text = given
    return text.encode("utf-8", "replace").decode("utf-8")


def _say(ident: str, value: Mapping[str, object], inputs: Mapping[str, object]) -> Say:
    _only(inputs, {"utterance", "text", "tokens", "end", "voice", "hints"}, "inputs")
    text = _text(inputs)
    end = _flag(inputs, "end", True)
    utterance = _utterance(inputs)
    if not text and (utterance is None or not end):
        raise Refusal("empty", "inputs.text", "give some text; an empty text may only end an utterance")
    voice = inputs.get("voice")
    if voice is not None:
        parse_voice(voice)
    return Say(ident, text, end, utterance, voice, _hints(inputs), parse_mode(value.get("mode")))  # type: ignore[arg-type]


def _configure(ident: str, value: Mapping[str, object], inputs: Mapping[str, object]) -> Configure:
    _only(inputs, {"adapter", "voice", "mode", "after_voice"}, "inputs")
    adapter = inputs.get("adapter")
    if adapter is not None and (not isinstance(adapter, str) or not 0 < len(adapter) <= MAX_ID):
        raise Refusal("invalid", "inputs.adapter", "give the name of an engine from /adapters")
    voice = inputs.get("voice")
    if voice is not None:
        parse_voice(voice)
    mode = parse_mode(inputs.get("mode", value.get("mode")))
    after = _after_voice(inputs.get("after_voice"))
    if adapter is None and voice is None and mode is None and after is None:
        raise Refusal("empty", "inputs", "name at least one of adapter, voice, mode, after_voice")
    return Configure(ident, adapter, voice, mode, after)  # type: ignore[arg-type]


def _after_voice(given: object) -> AfterVoice | None:
    if given is None:
        return None
    try:
        return AfterVoice(given)  # type: ignore[arg-type]
    except ValueError:
        raise Refusal("invalid", "inputs.after_voice", f"choose one of {', '.join(AfterVoice)}") from None


def _barge_in(ident: str, inputs: Mapping[str, object]) -> BargeIn:
    _only(inputs, {"cause"}, "inputs")
    given = inputs.get("cause", Cause.MESSAGE)
    try:
        cause = Cause(given)  # type: ignore[arg-type]
    except ValueError:
        cause = Cause.LOST
    if cause is Cause.LOST:
        raise Refusal("invalid", "inputs.cause", f"choose one of {', '.join(c for c in Cause if c is not Cause.LOST)}")
    return BargeIn(ident, cause)


def _playout(inputs: Mapping[str, object]) -> Playout:
    _only(inputs, {"rtp", "jitter_ms", "concealed"}, "inputs")
    rtp, jitter, concealed = inputs.get("rtp"), inputs.get("jitter_ms", 0), inputs.get("concealed", 0)
    if isinstance(rtp, bool) or not isinstance(rtp, int) or not 0 <= rtp < 2**32:
        raise Refusal("invalid", "inputs.rtp", "give the RTP timestamp being played, 0 to 2^32 - 1")
    if isinstance(jitter, bool) or not isinstance(jitter, int | float) or not 0 <= jitter < 1e6:
        raise Refusal("invalid", "inputs.jitter_ms", "give milliseconds")
    if isinstance(concealed, bool) or not isinstance(concealed, int) or not 0 <= concealed < 2**53:
        raise Refusal("invalid", "inputs.concealed", "give a count of samples")
    return Playout(rtp, float(jitter), concealed)


_BARE: Mapping[str, type[Pause | Resume | Abandon | Describe]] = {
    "pause": Pause,
    "resume": Resume,
    "abandon": Abandon,
    "describe": Describe,
}
INTENTS = ("say", "barge_in", "pause", "resume", "abandon", "configure", "describe", "playout")


def parse(value: Mapping[str, object]) -> Message:
    """A message from a decoded request `{id, intent, inputs, constraints?, mode?}`. Raises Refusal."""
    _only(value, {"id", "intent", "inputs", "constraints", "mode"}, "message")
    intent = value.get("intent")
    inputs = _object(value, "inputs")
    _object(value, "constraints")
    if intent == "playout":
        return _playout(inputs)
    ident = request_id(value)
    match intent:
        case "say":
            return _say(ident, value, inputs)
        case "barge_in":
            return _barge_in(ident, inputs)
        case "configure":
            return _configure(ident, value, inputs)
        case "pause" | "resume" | "abandon" | "describe":
            _only(inputs, set(), "inputs")
            return _BARE[intent](ident)
        case _:
            raise Refusal("unknown_intent", "intent", f"choose one of {', '.join(INTENTS)}")


def voice_of(given: Mapping[str, object] | None, base: Voice) -> Voice:
    """`base` with the fields that `given` names; what was parsed once cannot fail here."""
    return base if given is None else parse_voice(given, base)
