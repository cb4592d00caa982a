"""Which voice reads a sentence: the one asked for, or one of its script where that voice knows no letter of it.

Pure data and counting; the standard library only, because the zygote has nothing else.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

RANGES: tuple[tuple[int, int, str], ...] = (
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "armenian"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x06FF, "arabic"),
    (0x0750, 0x077F, "arabic"),
    (0x08A0, 0x08FF, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0980, 0x09FF, "bengali"),
    (0x0A00, 0x0A7F, "gurmukhi"),
    (0x0A80, 0x0AFF, "gujarati"),
    (0x0B00, 0x0B7F, "oriya"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x0C00, 0x0C7F, "telugu"),
    (0x0C80, 0x0CFF, "kannada"),
    (0x0D00, 0x0D7F, "malayalam"),
    (0x0D80, 0x0DFF, "sinhala"),
    (0x0E00, 0x0E7F, "thai"),
    (0x1000, 0x109F, "burmese"),
    (0x10A0, 0x10FF, "georgian"),
    (0x1100, 0x11FF, "hangul"),
    (0x1200, 0x139F, "ethiopic"),
    (0x13A0, 0x13FF, "cherokee"),
    (0x1F00, 0x1FFF, "greek"),
    (0x3040, 0x30FF, "kana"),
    (0x3130, 0x318F, "hangul"),
    (0x3400, 0x9FFF, "han"),
    (0xAC00, 0xD7AF, "hangul"),
    (0xF900, 0xFAFF, "han"),
    (0xFB1D, 0xFB4F, "hebrew"),
    (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFE, "arabic"),
    (0x20000, 0x2FA1F, "han"),
)
"""Blocks of code points, ascending. Latin is what is not here."""

STARTS = tuple(low for low, _, _ in RANGES)


class Readers(NamedTuple):
    """`first` reads the script where the wanted voice does not; `others` read it too."""

    first: str
    others: frozenset[str] = frozenset()


READERS: dict[str, Readers] = {
    "arabic": Readers("sem/ar", frozenset({"ira/fa", "inc/ur", "inc/sd", "trk/ug"})),
    "armenian": Readers("ine/hy", frozenset({"ine/hyw"})),
    "bengali": Readers("inc/bn", frozenset({"inc/as", "inc/bpy"})),
    "burmese": Readers("sit/my", frozenset({"tai/shn"})),
    "cherokee": Readers("iro/chr"),
    "cyrillic": Readers(
        "zle/ru",
        frozenset(
            {
                "zle/ru-LV", "zle/ru-cl", "zle/uk", "zle/be", "zls/bg", "zls/mk", "zls/sr", "trk/kk", "trk/ky",
                "trk/tt", "trk/ba", "trk/cv", "trk/nog",
            }
        ),
    ),
    "devanagari": Readers("inc/hi", frozenset({"inc/mr", "inc/ne", "inc/kok"})),
    "ethiopic": Readers("sem/am", frozenset({"sem/ti"})),
    "georgian": Readers("ccs/ka"),
    "greek": Readers("grk/el", frozenset({"grk/grc"})),
    "gujarati": Readers("inc/gu"),
    "gurmukhi": Readers("inc/pa"),
    "han": Readers("sit/cmn", frozenset({"sit/yue", "sit/hak", "jpx/ja"})),
    "hangul": Readers("ko"),
    "hebrew": Readers("sem/he"),
    "kana": Readers("jpx/ja"),
    "kannada": Readers("dra/kn"),
    "malayalam": Readers("dra/ml"),
    "oriya": Readers("inc/or"),
    "sinhala": Readers("inc/si"),
    "tamil": Readers("dra/ta"),
    "telugu": Readers("dra/te"),
    "thai": Readers("tai/th"),
}  # fmt: skip


def script_of(character: str) -> str:
    """The script of a letter, "latin" where it is none of the table."""
    code = ord(character)
    index = bisect_right(STARTS, code) - 1
    if index < 0 or code > RANGES[index][1]:
        return "latin"
    return RANGES[index][2]


def mostly(text: str) -> str:
    """The script of more than half of the letters of `text`, else "latin". Kana among Han makes it Japanese."""
    counts: dict[str, int] = {}
    for character in text:
        if character.isalpha():
            script = script_of(character)
            counts[script] = counts.get(script, 0) + 1
    if "kana" in counts:
        counts["kana"] += counts.pop("han", 0)
    script = max(counts, key=lambda name: counts[name], default="latin")
    return script if 2 * counts.get(script, 0) > sum(counts.values()) else "latin"


def voice_for(text: str, voice: str) -> str:
    """`voice` ("folder/file+variant"), its base replaced where it cannot read most of `text`; the variant stays."""
    readers = READERS.get(mostly(text))
    base, plus, variant = voice.partition("+")
    if readers is None or base == readers.first or base in readers.others:
        return voice
    return readers.first + plus + variant
