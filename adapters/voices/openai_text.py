"""What a service is given to read and told about how: a clean text, and a persona in words.

Knows no connection and no persona file; emotions and accents are named as a director would.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from peer.core.voice import Voice

MOST_TEXT = 4096
"""Characters of one text, as the protocol has it; a sentence is a tenth of that."""

MOST_INSTRUCTIONS = 1024
"""A quarter of what the protocol takes: sixteen emotions with the longest names."""

ACCENTS: Mapping[str, str] = {
    "en-gb": "a British English accent",
    "en-us": "a General American English accent",
    "en-au": "an Australian English accent",
    "en-ca": "a Canadian English accent",
    "en-ie": "an Irish English accent",
    "en-in": "an Indian English accent",
    "en-nz": "a New Zealand English accent",
    "en-za": "a South African English accent",
    "en-gb-scotland": "a Scottish English accent",
}
"""By BCP 47 tag; others are named by their tag."""

DEGREES = ((0.67, "very "), (0.34, ""), (0.0, "slightly "))
"""From this weight on an emotion is put so; at 0 it is not mentioned."""

FEELINGS: Mapping[str, str] = {
    "anger": "angry",
    "calm": "calm",
    "excitement": "excited",
    "fear": "afraid",
    "joy": "joyful",
    "sadness": "sad",
    "surprise": "surprised",
}
"""The emotions that other engines know as well, as adjectives; others are felt by their name."""

LIVELY, EVEN = 1.2, 0.8
"""Factors on the range of pitch from which it is spoken of."""

SCRIPTS: Mapping[str, Sequence[str]] = {
    "ARABIC": ("ar", "fa", "ps", "sd", "ug", "ur"),
    "ARMENIAN": ("hy",),
    "BENGALI": ("as", "bn"),
    "CJK": ("ja", "yue", "zh"),
    "CYRILLIC": ("be", "bg", "kk", "ky", "mk", "mn", "ru", "sr", "tg", "uk"),
    "DEVANAGARI": ("hi", "mr", "ne", "sa"),
    "GEORGIAN": ("ka",),
    "GREEK": ("el",),
    "HANGUL": ("ko",),
    "HEBREW": ("he", "yi"),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
}
"""Script, as the names of its letters begin → languages written in it. Others are left to the service to judge."""

UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` as JSON carries it: control characters and halves of characters are spaces, so positions stay."""
    return UNSEEN.sub(" ", text)


def is_silent(text: str) -> bool:
    """True where there is nothing to pronounce; a service would answer with an error, or with nothing."""
    return not any(letter.isalnum() for letter in text)


def foreign_script(text: str, languages: Sequence[str]) -> str:
    """The script of most of `text` where none of `languages` (BCP 47) is written in it, else "" (or none are named)."""
    counts = Counter(unicodedata.name(letter, "?").split()[0] for letter in text if letter.isalpha())
    if not counts or not languages:
        return ""
    script, count = counts.most_common(1)[0]
    spoken = {language.lower().partition("-")[0] for language in languages}
    foreign = script in SCRIPTS and not spoken.intersection(SCRIPTS[script])
    return script.capitalize() if foreign and 2 * count > counts.total() else ""


def instructions_of(voice: Voice) -> str:
    """The accent, emotions and range of a persona as sentences; what it leaves alone is not mentioned."""
    tag = voice.accent.lower()
    sentences = [f"Speak with {ACCENTS[tag]}." if tag in ACCENTS else f"Speak with the accent of {voice.accent}."]
    felt = ", ".join(_felt(name, weight) for name, weight in sorted(voice.emotion_priors.items()) if weight > 0.0)
    if felt:
        sentences.append(f"Sound {felt}.")
    if voice.prosody.range >= LIVELY:
        sentences.append("Let the pitch of your voice move lively.")
    elif voice.prosody.range <= EVEN:
        sentences.append("Keep the pitch of your voice even.")
    return " ".join(sentences)[:MOST_INSTRUCTIONS]


def _felt(name: str, weight: float) -> str:
    degree = next(word for least, word in DEGREES if weight >= least)
    return degree + FEELINGS.get(name.lower(), f"full of {name}")
