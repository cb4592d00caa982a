"""What written forms sound like: numbers, money, times, addresses and signs, as edits of a text.

Knows neither markup nor engines. English is worded in full; for other languages num2words' whole numbers and decimals
are used where nothing around them changes their reading, and the rest is left to the engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote

from num2words import CONVERTER_CLASSES, num2words

from .markup import Edit

MAX_DIGITS = 15
"""Longer numbers are identifiers: they are read digit by digit."""
MAX_SEGMENTS = 3
"""Parts of a path that are read; nobody follows more by ear."""
MAX_SEGMENT = 24
"""Characters of such a part, or of a query: longer ones are keys, not words."""

_CANNOT_SAY = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)
"""What num2words raises where a language lacks a form."""

_COMMA_DECIMALS = re.compile("de|fr|es|it|pt|nl|ru|uk|pl|cs|sk|sl|sr|da|no|sv|fi|ro|hu|lt|lv|tr|is|ca|be")
_ADDRESS_WORDS = {
    "en": ("dot", "slash"),
    "de": ("Punkt", "Schrägstrich"),
    "fr": ("point", "slash"),
    "es": ("punto", "barra"),
    "it": ("punto", "barra"),
    "pt": ("ponto", "barra"),
    "nl": ("punt", "schuine streep"),
}

_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}
_SCALES = {"k": "thousand", "m": "million", "bn": "billion"}
_SIGNS = {
    "&": "and",
    "@": "at",
    "%": "percent",
    "×": "times",
    "÷": "divided by",
    "≈": "about",
    "≤": "at most",
    "≥": "at least",
    "≠": "is not",
    "±": "plus or minus",
    "°": "degrees",
    "§": "section",
    "=": "equals",
}

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
_TLD = r"(?:com|org|net|io|dev|edu|gov|ai|app|info|co\.uk|uk|de|fr|eu|ch|at|nl|jp|me)"
_ADDRESSES = rf"""
    (?P<url>(?:https?://|\bwww\.)[^\s<>"]+)
  | (?P<email>(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}})+)
  | (?P<domain>(?<![\w@.-])(?:[a-zA-Z0-9-]{{1,63}}\.)+{_TLD}(?![\w-])(?:/[^\s<>"]*)?)
"""
_LEFTOVER = r"(?P<drop>[*`~|^\\\[\]{}<>#_]+)"
_ENGLISH = re.compile(
    rf"""{_ADDRESSES}
  | (?P<clock>(?<![\d:])(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?![\d:]))
  | (?P<money>[$€£¥₹][ ]?{_NUMBER}(?:[ ]?(?:k|m|bn|thousand|million|billion|trillion)\b)?)
  | (?P<priced>{_NUMBER}[ ]?[€£])
  | (?P<grouped>(?<!\w)[0-9]+(?:-[0-9]+){{2,}}(?!\w))
  | (?P<version>[0-9]+(?:\.[0-9]+){{2,}})
  | (?P<range>(?<![\w-]){_NUMBER}[-–]{_NUMBER}(?![\w-]))
  | (?P<fraction>(?<![\d/.,])(?:1/[2-9]|[2-9]/[3-9])(?![\d/.]))
  | (?P<stroke>(?<=[0-9])/(?=[0-9]))
  | (?P<ordinal>\b[0-9]{{1,15}}(?:st|nd|rd|th)\b)
  | (?P<decade>\b(?:1[1-9]|20)[0-9]0['’]?s\b)
  | (?P<heat>{_NUMBER}[ ]?°[ ]?[CF]\b)
  | (?P<named>\bNo\.[ ]?(?=[0-9])|\#(?=[0-9]))
  | (?P<minus>(?<![\w)])[-−](?=[0-9]))
  | (?P<about>~(?=[0-9]))
  | (?P<plus>(?<=[\w ])\+(?=[ ]?[0-9]))
  | (?P<number>{_NUMBER})
  | (?P<less>(?<=[ ])[<>](?=[ ]))
  | (?P<sign>[{re.escape("".join(_SIGNS))}])
  | {_LEFTOVER}
""",
    re.VERBOSE,
)
_OTHERS = re.compile(
    rf"""{_ADDRESSES}
  | (?P<plain>(?<![\w.,:/+-])[0-9]{{1,15}}(?:[.,][0-9]{{1,6}})?(?![\w:/.°%€$£-]|[ ]?[%°€$£]|,[0-9]))
  | {_LEFTOVER}
""",
    re.VERBOSE,
)
_TRAILING = ".,;:!?'”’)]}*_~"


def converter(language: str) -> str:
    """The name num2words has for `language` ("en-GB" → "en"), or "" where it has none."""
    base = re.split(r"[-_]", language.lower(), maxsplit=1)[0]
    return base if base in CONVERTER_CLASSES else ""


def word_edits(text: str, language: str) -> list[Edit]:
    """Everything in `text` that is not read as it is written. `language` as `converter` gives it, or ""."""
    english = language == "en"
    edits: list[Edit] = []
    for match in (_ENGLISH if english else _OTHERS).finditer(text):
        kind = match.lastgroup or ""
        if kind == "range":
            edits += _range(match)
            continue
        found = match.group()
        if kind in ("url", "domain"):
            found = _trimmed(found)
            worded = _address(found, language)
        elif kind == "email":
            worded = _email(found, language)
        elif kind == "plain":
            worded = _plain(found, language)
        else:
            worded = _WORDED[kind](found)
        if worded != found:
            start, end = match.start(), match.start() + len(found)
            edits.append((start, end, _spaced(text, start, end, worded)))
    return edits


def _spaced(text: str, start: int, end: int, worded: str) -> str:
    """`worded`, kept apart from letters and digits that touch it."""
    before = " " if worded and start and (text[start - 1].isalnum()) else ""
    after = " " if worded and end < len(text) and text[end].isalnum() else ""
    return before + worded + after


def _trimmed(address: str) -> str:
    """An address without the sentence's punctuation after it."""
    bare = address.rstrip(_TRAILING)
    return bare + ")" if "(" in bare and ")" not in bare and address[len(bare) :].startswith(")") else bare


def cardinal(number: str) -> str:
    """English words for digits with optional thousands commas and a decimal part."""
    whole, _, part = number.partition(".")
    words = _whole(whole)
    return f"{words} point {_digits(part)}" if part else words


def _digits(digits: str) -> str:
    return " ".join(str(num2words(int(d))) for d in digits)


def _whole(number: str) -> str:
    """`1,234` → one thousand two hundred and thirty-four; 1100 to 2099 as a year, which is idiomatic for counts too."""
    digits = number.replace(",", "")
    if len(digits) > MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return _digits(digits)
    value = int(digits)
    yearly = digits == number and 1100 <= value <= 2099
    return str(num2words(value, to="year" if yearly else "cardinal")).replace(",", "")


def _plain(found: str, language: str) -> str:
    """A number alone in a language that num2words has; as written where it cannot say it."""
    comma = _COMMA_DECIMALS.fullmatch(language) is not None
    whole, mark, part = found.partition("," if comma else ".")
    if not language or not whole.isdigit() or (mark and not part) or (len(whole) > 1 and whole[0] == "0"):
        return found
    try:
        words = str(num2words(int(whole), lang=language)).strip()
        if part:
            spoken = str(num2words(float(f"{whole}.{part}"), lang=language)).strip()
            words = spoken if spoken.lower() != words.lower() else ""
    except _CANNOT_SAY:
        return found
    return words if words and not any(c.isdigit() for c in words) else found


def _range(match: re.Match[str]) -> list[Edit]:
    found, at = match.group(), match.start()
    dash = re.search(r"[-–]", found)
    if dash is None:
        return []
    return [
        (at, at + dash.start(), cardinal(found[: dash.start()])),
        (at + dash.start(), at + dash.end(), " to "),
        (at + dash.end(), match.end(), cardinal(found[dash.end() :])),
    ]


def _clock(found: str) -> str:
    hour, minute = found.split(":")
    if minute == "00":
        return f"{num2words(int(hour))} o'clock" if 0 < int(hour) <= 12 else f"{num2words(int(hour))} hundred"
    spoken = f"oh {num2words(int(minute))}" if minute[0] == "0" else str(num2words(int(minute)))
    return f"{num2words(int(hour))} {spoken}"


def _money(found: str) -> str:
    one, many, coin, coins = _MONEY[found[0]]
    match = re.match(_NUMBER, found[1:].lstrip())
    number = match.group() if match else "0"
    scale = found[1:].lstrip()[len(number) :].strip()
    if scale:
        return f"{cardinal(number)} {_SCALES.get(scale, scale)} {many}"
    whole, _, part = number.partition(".")
    unit = one if whole == "1" else many
    if not part or not coin:
        return f"{cardinal(number)} {unit if not part else many}"
    if len(part) != 2:
        return f"{cardinal(number)} {many}"
    small = f"{num2words(int(part))} {coin if int(part) == 1 else coins}"
    if not whole.strip("0,"):
        return small
    return f"{_whole(whole)} {unit} and {small}" if int(part) else f"{_whole(whole)} {unit}"


def _decade(found: str) -> str:
    words = _whole(found[:4])
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _ordinal(found: str) -> str:
    return str(num2words(int(found[:-2]), to="ordinal")).replace(",", "")


def _fraction(found: str) -> str:
    """`3/4` → three quarters."""
    above, below = found.split("/")
    part = {"2": "half", "4": "quarter"}.get(below) or str(num2words(int(below), to="ordinal"))
    plural = "halves" if part == "half" else part + "s"
    return f"{num2words(int(above))} {part if above == '1' else plural}"


def _heat(found: str) -> str:
    scale = "Celsius" if found[-1] == "C" else "Fahrenheit"
    return f"{cardinal(found[:-1].rstrip(' °'))} degrees {scale}"


def _email(found: str, language: str) -> str:
    dot = _ADDRESS_WORDS.get(language, ("", ""))[0]
    if not dot:
        return found
    local, _, host = found.partition("@")
    named = re.sub(r"[+_-]", " ", local).replace(".", f" {dot} ")
    return _counted(f"{named} at {host.replace('.', f' {dot} ')}", language)


def _address(found: str, language: str) -> str:
    """`https://www.example.com/docs/x?q=1` → example dot com slash docs slash x, with a query."""
    host, slash, path = re.sub(r"^https?://", "", found).partition("/")
    host, _, query_only = host.partition("?")
    dot, stroke = _ADDRESS_WORDS.get(language, ("", ""))
    bare = host.rpartition("@")[2].removeprefix("www.")
    if not dot:
        return bare
    spoken = bare.replace(":", " port ").replace(".", f" {dot} ").replace("-", " ")
    path, _, query = path.partition("#")[0].partition("?")
    parts = [part for part in path.split("/") if part] if slash else []
    for part in parts[:MAX_SEGMENTS]:
        plain = unquote(part) if len(part) <= MAX_SEGMENT else ""
        plain = re.sub(r"[^\w.]+|_", " ", plain).strip().replace(".", f" {dot} ")
        spoken += f" {stroke} {plain or 'a long part'}"
    if len(parts) > MAX_SEGMENTS:
        spoken += f" {stroke} and so on"
    if query or query_only:
        spoken += _query(query or query_only)
    return _counted(spoken, language)


def _query(query: str) -> str:
    if len(query) > MAX_SEGMENT or query.count("=") != 1 or "%" in query:
        return ", with a long query" if len(query) > MAX_SEGMENT else ", with a query"
    name, _, value = query.partition("=")
    return f", with {re.sub(r'[^a-zA-Z0-9]+', ' ', name)} {re.sub(r'[^a-zA-Z0-9]+', ' ', value)}"


def _counted(spoken: str, language: str) -> str:
    """The digits of an address as words."""
    if language == "en":
        spoken = re.sub(r"[0-9]+", lambda m: f" {_whole(m.group())} ", spoken)
    return " ".join(spoken.split())


def _every(separator: str, joint: str, say: Callable[[str], str], found: str) -> str:
    return joint.join(say(part) for part in found.split(separator))


_WORDED: dict[str, Callable[[str], str]] = {
    "clock": _clock,
    "money": _money,
    "priced": lambda found: _money(found[-1] + found[:-1].rstrip()),
    "grouped": partial(_every, "-", ", ", _digits),
    "version": partial(_every, ".", " point ", _whole),
    "ordinal": _ordinal,
    "decade": _decade,
    "heat": _heat,
    "fraction": _fraction,
    "stroke": lambda _: " ",
    "named": lambda _: "number ",
    "minus": lambda _: "minus ",
    "about": lambda _: "about ",
    "plus": lambda _: " plus ",
    "number": cardinal,
    "less": lambda found: "less than" if found == "<" else "greater than",
    "sign": lambda found: f" {_SIGNS[found]} ",
    "drop": lambda found: "" if found.strip("_[]{}#") == found else " ",
}
