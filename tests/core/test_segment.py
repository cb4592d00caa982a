"""The segmenter: where windows end, what hunger changes, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import sentencex
from hypothesis import example, given
from hypothesis import strategies as st

from peer.core import segment
from peer.core.segment import MAX_ADDRESS, MAX_WINDOW, Hunger, Segmenter, Window
from peer.core.speakable import speakable

WORDS = ["Hello", "world", "Dr.", "e.g.", "3.14", "U.S.", "No.", "5", "A", "b", "a.m. ", "é", "e\u0301", "x" * 150]
STOPS = [".", "!", "? ", "...", "。", "！", "」", "؟ ", '"', ")", ", ", " ", " ", " ", "\n", "\n\n"]
MARKS = ["- ", "# ", "1. ", "**", "`", "[a](b)", "[", "](", "| ", "https://a.io/b"]
ODD = ["好", "مرحبا", "😀", "\u200b", "\x00", "\ud800"]
PARTS = st.sampled_from(WORDS + STOPS + MARKS + ODD)
PROSE = st.lists(PARTS, max_size=80).map("".join)
TEXT = PROSE | st.text(st.characters(), max_size=300)


def windows(pieces: Iterable[str], hunger: Hunger = Hunger.NONE, language: str = "en") -> list[Window]:
    """All windows of a source that arrives in `pieces`, asked for after each."""
    cutter = Segmenter(language)
    found: list[Window] = []
    for piece in pieces:
        cutter.append(piece)
        while window := cutter.next(hunger):
            found.append(window)
    cutter.end()
    return found + rest(cutter, hunger)


def rest(cutter: Segmenter, hunger: Hunger = Hunger.NONE) -> list[Window]:
    found: list[Window] = []
    while not cutter.exhausted:
        before = (cutter.pending, cutter._from)
        if window := cutter.next(hunger):
            found.append(window)
        assert cutter.exhausted or before != (cutter.pending, cutter._from), "a call made no progress"
    return found


def sources(text: str, language: str = "en") -> list[str]:
    return [text[w.start : w.end].strip() for w in windows([text], language=language)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Pi is 3.14 or so.",
        "Dr. Smith is in.",
        "Take a fruit, e.g. this one.",
        "The U.S. is big.",
        "No. 5 is alive.",
        "It began at 10:30 a.m. and ended.",
        "Well... maybe not.",
        "See https://example.com/a.html?x=1. ",
        "He said [so. Then](http://x.y) went.",
        "Call `x. Y` twice.",
        "A **short. Bold** one.",
        "Version 1.2.3 is out.",
    ],
)
def test_a_sentence_is_one_window(sentence: str) -> None:
    """Full stops inside numbers, abbreviations, addresses and markup do not end a sentence."""
    assert sources(sentence + " Another one follows.") == [sentence.strip(), "Another one follows."]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Yes. No! Why? Because.", ["Yes.", "No!", "Why?", "Because."]),
        ("We left the U.S. The end.", ["We left the U.S.", "The end."]),
        ('"Is it?" "Yes." Good.', ['"Is it?"', '"Yes."', "Good."]),
        ("你好。今天很好！是吗？「好。」是的", ["你好。", "今天很好！", "是吗？", "「好。」", "是的"]),
        ("# Title\nText here.\n\n- one\n- two\nmore", ["# Title", "Text here.", "- one", "- two\nmore"]),
        ("1. First thing\n2. Second thing", ["1. First thing", "2. Second thing"]),
        ("كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
        ("Hi. 😀 There", ["Hi.", "😀 There"]),
    ],
)
def test_sentences_are_parted(text: str, cut: list[str]) -> None:
    """A certain end of a sentence, a paragraph or a list item is a cut."""
    assert sources(text) == cut


def test_a_sentence_waits_until_its_end_is_certain() -> None:
    """The stop of `3.` may become `3.14`, so it is no end before a word follows or the source ends."""
    cutter = Segmenter()
    for piece in ("It is 3.", "14", " now.", " "):
        cutter.append(piece)
        assert cutter.next() is None
    cutter.append("Then")
    window = cutter.next()
    assert window is not None
    assert window.text == "It is three point one four now."
    assert cutter.next() is None
    cutter.end()
    assert [w.text for w in rest(cutter)] == ["Then"]


def test_hunger_releases_clauses_then_words() -> None:
    """Hungry takes a clause or a few whole words; starving takes any whole word, but never half of one."""
    cutter = Segmenter()
    cutter.append("Well then, my fri")
    assert cutter.next() is None
    first = cutter.next(Hunger.HUNGRY)
    assert first is not None
    assert first.text == "Well then,"
    assert cutter.next(Hunger.HUNGRY) is None
    second = cutter.next(Hunger.STARVING)
    assert second is not None
    assert second.text == "my"
    assert cutter.next(Hunger.STARVING) is None
    cutter.append("end of old days")
    third = cutter.next(Hunger.HUNGRY)
    assert third is None, "three words are not worth a chunk"
    cutter.append(" is")
    fourth = cutter.next(Hunger.HUNGRY)
    assert fourth is not None
    assert fourth.text == "friend of old days"


@pytest.mark.parametrize("text", ["Dr. Smi", "No. 5", "see [a link", "at `x y", "3."])
def test_starving_does_not_part_what_belongs_together(text: str) -> None:
    """Even starving keeps an abbreviation with its word, and a link, a code span or a number whole."""
    cutter = Segmenter()
    cutter.append(text)
    window = cutter.next(Hunger.STARVING)
    assert window is None or text[window.end :].strip() in ("[a link", "`x y")


def test_rewind_speaks_the_rest_of_the_sentence_again() -> None:
    """After an interruption the next window starts at exactly the word asked for."""
    text = "The price is $3.50 today. And more."
    cutter = Segmenter()
    cutter.append(text)
    cutter.end()
    first = cutter.next()
    assert first is not None
    heard = first.source_at(first.text.index("fifty"))
    assert heard == text.index("$3.50")
    cutter.rewind(heard)
    assert cutter.position == heard
    again = cutter.next()
    assert again is not None
    assert (again.start, again.text) == (heard, "three dollars and fifty cents today.")
    assert again.index == first.index + 1
    assert first.source_range(first.text.index("three"), first.text.index(" today")) == (heard, heard + 5)
    assert first.source_at(len(first.text)) == first.end


def test_emoji_only_is_skipped() -> None:
    """A source with nothing to hear gives no window and is exhausted."""
    assert windows(["😀😀", "👍🏽 ", "?! … ---"]) == []


def test_misuse_is_refused() -> None:
    """A source that ended takes no more text, and no rewind leads outside of it."""
    cutter = Segmenter()
    cutter.end()
    assert cutter.exhausted
    with pytest.raises(ValueError, match="ended"):
        cutter.append("x")
    with pytest.raises(ValueError, match="outside"):
        cutter.rewind(1)


def test_a_huge_word_is_cut_between_graphemes() -> None:
    """A word of 100,000 letters becomes windows of at most the limit, and no accent loses its letter."""
    text = "e" + "e\u0301" * 50_000
    found = windows([text])
    assert all(w.end - w.start <= MAX_WINDOW for w in found)
    assert all(text[w.start] == "e" for w in found)
    assert found[-1].end == len(text)


def test_a_long_address_stays_whole() -> None:
    """An address beyond the limit is said once, shortly, and does not spill into the next window."""
    text = "See https://example.com/" + "a1" * 600 + " now. Then more."
    assert [w.text for w in windows([text])][-1] == "Then more."
    assert "".join(w.text for w in windows([text])).count("long part") == 1
    assert len(windows(["https://a.io/" + "x" * 3 * MAX_ADDRESS])) < 20


@pytest.mark.parametrize(
    ("text", "at", "cut"),
    [
        ("🇫🇷🇩🇪", 3, 2),
        ("👩\u200d🚀", 2, 0),
        ("ab\r\n", 3, 2),
        ("\u1100\u1161\u11a8", 2, 0),
        ("👍🏽", 1, 0),
        ("ab", 1, 1),
        ("a" + "\u0301" * 99, 90, 90),
    ],
)
def test_a_grapheme_is_never_cut(text: str, at: int, cut: int) -> None:
    """Flags, joined emoji, CR LF, Hangul and skin tones stay whole; only an endless pile of marks is cut."""
    assert segment.grapheme_cut("x" + text, at + 1) == cut + 1


@given(TEXT, st.sampled_from(list(Hunger)), st.sampled_from(["en", "de", "zh", "xx"]))
@example("😀" * 20_000 + "a", Hunger.NONE, "en")
@example(" " * 500 + "a", Hunger.STARVING, "en")
def test_windows_tile_the_source_and_lose_nothing(text: str, hunger: Hunger, language: str) -> None:
    """Each window starts where the last one ended, maps into itself, and nothing audible is left over."""
    found = windows([text[:7], text[7:]], hunger, language)
    at = 0
    for number, window in enumerate(found):
        assert (window.index, window.start) == (number, at)
        assert window.start < window.end
        assert all(window.start <= origin < window.end for origin in window.origin)
        assert not window.spoken.silent
        at = window.end
    assert speakable(text[at:], 0, language).silent


@given(TEXT, st.lists(st.integers(1, 30), min_size=1, max_size=20))
@example("a" * 395 + ". Bcd efg " * 3, [1])
@example("x " * 199 + "https://a.io/" + "y" * 700 + "  Z. End", [7])
@example("好" * 450 + "。」。好", [3])
@example("Hello.   \n\n   - x", [1])
@example("「好。」是。」的", [1])
@example("one\n- two\n12. three", [1])
def test_pieces_do_not_move_the_cuts(text: str, sizes: list[int]) -> None:
    """Without hunger the windows depend on the text alone, however it was chunked."""
    pieces: list[str] = []
    at = 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    assert windows(pieces) == windows([text])


@given(PROSE, st.data())
def test_rewind_reproduces_the_rest(text: str, data: st.DataObject) -> None:
    """From any word start on, a rewound segmenter gives what a fresh one gives for the rest of the source."""
    starts = [i for i in range(len(text)) if not text[i].isspace() and (i == 0 or text[i - 1].isspace())]
    if not starts:
        return
    offset = data.draw(st.sampled_from(starts))
    cutter = Segmenter()
    cutter.append(text)
    cutter.end()
    rest(cutter)
    cutter.rewind(offset)
    again = [(w.start - offset, w.end - offset, w.text) for w in rest(cutter)]
    assert again == [(w.start, w.end, w.text) for w in windows([text[offset:]])]


@pytest.mark.parametrize(
    "unit", ["a", "word ", "😀", "Dr. A ", "A. ", ". ", "好", '"\n', "[", "a, ", "\n", "\u200b", "\ud800", "https://"]
)
def test_a_million_characters_cost_bounded_work_per_call(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call looks at a few thousand characters and asks the library a bounded number of short questions."""
    asked: list[int] = []
    read: list[int] = []
    original: Callable[[str, str], list[str]] = sentencex.segment
    slice_of = segment._Source.slice

    def counted(language: str, text: str) -> list[str]:
        asked.append(len(text))
        return original(language, text)

    def sliced(self: segment._Source, start: int, end: int) -> str:
        text = slice_of(self, start, end)
        read.append(len(text))
        return text

    monkeypatch.setattr(sentencex, "segment", counted)
    monkeypatch.setattr(segment._Source, "slice", sliced)
    cutter = Segmenter()
    cutter.append(unit * (1_000_000 // len(unit)))
    for hunger in (Hunger.NONE, Hunger.HUNGRY, Hunger.STARVING) * 4:
        asked.clear()
        read.clear()
        cutter.next(hunger)
        assert len(asked) <= segment.MAX_SKIPPED * MAX_WINDOW // 2
        assert max(asked, default=0) <= segment.CONTEXT + 2 * MAX_WINDOW
        assert sum(read) <= 2 * segment.SKIM + 10 * (MAX_WINDOW + MAX_ADDRESS)


def test_waiting_asks_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polled without new text, or fed letter by letter, a rejected full stop is not examined again."""
    asked = []
    original: Callable[[str, str], list[str]] = sentencex.segment

    def counted(language: str, text: str) -> list[str]:
        asked.append(text)
        return original(language, text)

    monkeypatch.setattr(sentencex, "segment", counted)
    cutter = Segmenter()
    for letter in "He met Dr. Smith and Mrs. Jones while walking along the road":
        cutter.append(letter)
        for _ in range(3):
            assert cutter.next() is None
    assert len(asked) == 2


def test_polling_without_new_text_searches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller may ask every 20 ms: without new text the answer is known."""
    cutter = Segmenter()
    cutter.append("Not yet a sentence")
    assert cutter.next() is None
    monkeypatch.setattr(segment, "first_end", lambda *_: pytest.fail("searched again"))
    assert cutter.next() is None


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("One two three four five six seven eight.", ["One two three four five six seven eight."]),
        (
            "One two three four five six seven eight nine ten eleven.",
            ["One two three four five six seven eight", "nine ten eleven."],
        ),
        (
            "Well, one two three, four five six seven eight nine.",
            ["Well, one two three,", "four five six seven eight nine."],
        ),
        ("Ask Mr. Smith about it. Now.", ["Ask Mr. Smith about it.", "Now."]),
    ],
)
def test_a_clause_of_so_many_words(text: str, windows: list[str]) -> None:
    """Long sentences are cut at a late clause, else at the last word that fits; short ones are left alone."""
    for step in (1, 3, len(text)):
        segmenter, found = Segmenter(), []
        for at in range(0, len(text), step):
            segmenter.append(text[at : at + step])
            while window := segmenter.next(most_words=8):
                found.append(window)
        segmenter.end()
        while window := segmenter.next(most_words=8):
            found.append(window)
        assert [segmenter.source(w.start, w.end).strip() for w in found] == windows
