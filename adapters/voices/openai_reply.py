"""What a service's answer says before any sound: the verdict of its head, the complaint in an error's body.

Knows no connection: numbers and bytes in, words out.
"""

from __future__ import annotations

import json
import re
from enum import Enum

MOST_QUOTED = 160
"""Characters of a complaint that are told."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that another try may not meet."""

WRONG = frozenset({403, 404, 405})
"""Statuses that say the operator named something that is not there, or not for us."""

ENCODED = re.compile(r"audio/(mpeg|mp3|mp4|ogg|opus|flac|x-flac|aac|aacp|webm|x-m4a)\b")
SOUNDLESS = re.compile(r"(text/|application/(json|problem|xml|xhtml|javascript))")
RATE = re.compile(r"\brate=(\d{4,6})\b")
TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


class Verdict(Enum):
    """What is to be made of an answer."""

    SOUND = "sound follows"
    ENCODED = "sound in a form that was not asked for"
    SOUNDLESS = "a page or an object where sound was due"
    ELSEWHERE = "a redirect"
    KEY = "the key is not taken"
    WRONG = "there is no such thing, or not for us"
    PASSING = "not now"
    REFUSED = "not this"


def verdict(status: int, kind: str, coding: str) -> Verdict:
    """By the status, the lower-case Content-Type and the Content-Encoding of an answer."""
    if status == 200 and SOUNDLESS.match(kind):
        return Verdict.SOUNDLESS
    if status == 200:
        return Verdict.ENCODED if ENCODED.match(kind) or coding != "identity" else Verdict.SOUND
    if status in REDIRECTS:
        return Verdict.ELSEWHERE
    if status == 401:
        return Verdict.KEY
    if status in WRONG:
        return Verdict.WRONG
    return Verdict.PASSING if status in PASSING else Verdict.REFUSED


def complaint(body: bytes, key: str) -> str:
    """ ": " and the begin of an error's body as one plain line, `key` taken out; empty where it says nothing."""
    text = plain(_message(body.decode("utf-8", "replace")))
    if key:
        text = text.replace(key, "…")
    return f": {text[:MOST_QUOTED]}" if text else ""


def plain(text: str) -> str:
    """One printable line without markup."""
    printable = "".join(letter if letter.isprintable() else " " for letter in TAG.sub(" ", text))
    return " ".join(printable.split()).rstrip(":")


def _message(text: str) -> str:
    """The message of an error in JSON, as the protocol has it; else the text itself."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict):
        value = value.get("error", value)
    if isinstance(value, dict):
        value = value.get("message") or value.get("detail") or value
    return value if isinstance(value, str) else json.dumps(value)


def retry_after(header: str | None) -> float | None:
    """A Retry-After in seconds; None where there is none, or a date, for which no clock is asked."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < float("inf") else None


def named_rate(kind: str) -> int | None:
    """The `rate` that some services name in the Content-Type of headerless samples."""
    rate = RATE.search(kind)
    return int(rate[1]) if rate else None
