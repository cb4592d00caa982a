"""Which scripts a language is written in, and whether a text is mostly in another: pure data and counting.

Knows no voice. A phonemizer does not fail on a foreign script: it names the letters ("Chinese letter, Chinese
letter"), which is no speech, so such a text is refused before.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

SCRIPTS: dict[str, tuple[str, ...]] = {
    "CYRILLIC": ("ba", "be", "bg", "cv", "kk", "ky", "mk", "mn", "nog", "ru", "sr", "tg", "tt", "uk"),
    "ARABIC": ("ar", "fa", "ps", "sd", "ug", "ur"),
    "CJK": ("cmn", "hak", "ja", "wuu", "yue", "zh"),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "DEVANAGARI": ("hi", "kok", "mr", "ne"),
    "BENGALI": ("as", "bn", "bpy"),
    "GREEK": ("el", "grc"),
    "HEBREW": ("he",),
    "HANGUL": ("ko",),
    "THAI": ("th",),
    "ARMENIAN": ("hy", "hyw"),
    "GEORGIAN": ("ka",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "KANNADA": ("kn",),
    "MALAYALAM": ("ml",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "ORIYA": ("or",),
    "SINHALA": ("si",),
    "MYANMAR": ("my", "shn"),
    "ETHIOPIC": ("am", "ti"),
    "CHEROKEE": ("chr",),
    "LAO": ("lo",),
    "KHMER": ("km",),
    "TIBETAN": ("bo", "dz"),
}
"""Script, as character names begin with it → the languages written in it. Latin is read by every voice: each has
foreign names to say, and the phonemizer switches to English for them."""

ALIASES = {"IDEOGRAPHIC": "CJK"}


def foreign_script(text: str, language: str) -> str:
    """The script of more than half of the letters of `text` where `language` (BCP 47) is not written in it, else ""."""
    if text.isascii():
        return ""
    counts = Counter(script_of(letter) for letter in text if letter.isalpha())
    if not counts:
        return ""
    primary = language.lower().partition("-")[0]
    strange = {script: n for script, n in counts.items() if primary not in SCRIPTS.get(script, (primary,))}
    if 2 * sum(strange.values()) <= counts.total():
        return ""
    return max(strange, key=lambda script: strange[script])


def script_of(letter: str) -> str:
    """The first word of the character's name: the script of all that the table holds."""
    word = unicodedata.name(letter, "").partition(" ")[0]
    return ALIASES.get(word, word)
