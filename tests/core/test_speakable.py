"""Speakable text: what is said for written forms, and where each spoken character came from."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peer.core.speakable import PIECE, Spoken, speakable

ANY_TEXT = st.text(st.characters(), max_size=700) | st.text("ab 1.,$-*_[]()`#|\n😀。\u200d\ud800/:@%", max_size=300)
LANGUAGES = st.sampled_from(["en", "en-GB", "de", "fr", "zh", "ja", "ar", "hi", "xx", "", "\ud800"])


def say(source: str, language: str = "en") -> str:
    return speakable(source, 0, language).text


@pytest.mark.parametrize(
    ("source", "spoken"),
    [
        ("It is 3.14.", "It is three point one four."),
        ("3.10", "three point one zero"),
        ("1,234 people", "one thousand two hundred and thirty-four people"),
        ("in 1999 and 2024", "in nineteen ninety-nine and twenty twenty-four"),
        ("the 1990s", "the nineteen nineties"),
        ("the 21st", "the twenty-first"),
        ("50% off", "fifty percent off"),
        ("20°C", "twenty degrees Celsius"),
        ("$5, $1, $3.50, $0.99", "five dollars, one dollar, three dollars and fifty cents, ninety-nine cents"),
        ("€20 or 5 £", "twenty euros or five pounds"),
        ("$3.5 million", "three point five million dollars"),
        ("at 10:30 a.m.", "at ten thirty a.m."),
        ("7:05, 9:00", "seven oh five, nine o'clock"),
        ("10-20 pages", "ten to twenty pages"),
        ("-5 and 3/4", "minus five and three quarters"),
        ("No. 5 is #1", "number five is number one"),
        ("007", "zero zero seven"),
        ("555-1234-99", "five five five, one two three four, nine nine"),
        ("1.2.3", "one point two point three"),
        ("2*3", "two times three"),
        ("mp3", "mp three"),
        ("R&D", "R and D"),
    ],
)
def test_numbers_and_signs_are_worded(source: str, spoken: str) -> None:
    """English numbers, money, times and signs are said as a reader would."""
    assert say(source) == spoken


@pytest.mark.parametrize(
    ("source", "spoken"),
    [
        ("https://www.example.com/docs.", "example dot com slash docs."),
        ("(see example.org)", "(see example dot org)"),
        ("http://a.io/a/b/c/d/e", "a dot io slash a slash b slash c slash and so on"),
        ("https://a.io/?x=1&y=2222222222222222222222", "a dot io, with a long query"),
        ("https://a.io/s?q=cats!", "a dot io slash s, with q cats!"),
        ("https://a.io/0123456789abcdef0123456789abcdef", "a dot io slash a long part"),
        ("(https://a.io/b_(c))", "(a dot io slash b c)"),
        ("a.person@example.com", "a dot person at example dot com"),
    ],
)
def test_addresses_are_short_and_readable(source: str, spoken: str) -> None:
    """An address is said as its host and first parts; nobody wants its keys."""
    assert say(source) == spoken


@pytest.mark.parametrize(
    ("source", "spoken"),
    [
        ("**bold** and *soft* ~~no~~ `code`", "bold and soft no code"),
        ("# A title #", "A title"),
        ("- item\n* [x] done", "item done"),
        ("> quoted", "quoted"),
        ("[text](https://a.b/c 'title') on", "text on"),
        ("![a picture](x.png)", "a picture"),
        ("```python\nprint\n```", "print"),
        ("| a | b |\n|---|---|", "a b"),
        ("<b>x</b> &amp; \\*y", "x and y"),
        ("**bold. ", "bold."),
        ("text** on", "text on"),
        ("rest](https://a.b/c) on", "rest on"),
        ("<https://a.io>", "a dot io"),
    ],
)
def test_markdown_goes_even_when_a_cut_left_half_of_it(source: str, spoken: str) -> None:
    """Markup is never read out, whole or dangling; its text is."""
    assert say(source) == spoken


@pytest.mark.parametrize(
    "source", ["😀😀", "👍🏽❤️", "\x00\x07", "\u200b\u200d", "---", "?!…", "", " \n", "\ud800\udfff"]
)
def test_nothing_to_say_is_silent(source: str) -> None:
    """Emoji, control and format characters, rules and bare punctuation cannot be heard."""
    assert speakable(source).silent


def test_joiners_stay_where_they_are_spelling() -> None:
    """A zero-width joiner belongs to Persian and Indic words, and to nothing in Latin script."""
    assert say("می‌خواهم", "fa") == "می‌خواهم"
    assert say("zero\u200c\u200bwidth") == "zerowidth"


def test_other_scripts_and_languages_keep_their_numbers_natural() -> None:
    """Digits are worded only where the language is known and the text is in its script."""
    assert say("今天3个人") == "今天3个人"
    assert say("a 5 b", "xx") == "a 5 b"
    assert (
        say("Es sind 3,14 und 12 Leute am 3. Mai.", "de") == "Es sind drei Komma eins vier und zwölf Leute am 3. Mai."
    )


def test_every_character_knows_its_source() -> None:
    """The words of a number come from the whole number, other characters from themselves."""
    spoken = speakable("**Pi** is 3.14 now", 100)
    assert spoken.text == "Pi is three point one four now"
    at = spoken.text.index("three")
    assert spoken.origin[0] == 102
    assert {spoken.origin[i] for i in range(at, at + 20)} == {110}
    assert {spoken.until[i] for i in range(at, at + 20)} == {114}
    assert spoken.origin[-1] == 117


def check_map(spoken: Spoken, start: int, end: int) -> None:
    assert len(spoken.text) == len(spoken.origin) == len(spoken.until)
    assert list(spoken.origin) == sorted(spoken.origin)
    assert list(spoken.until) == sorted(spoken.until)
    assert all(start <= a < b <= end for a, b in zip(spoken.origin, spoken.until, strict=True))


@given(ANY_TEXT, st.integers(0, 10**6), LANGUAGES)
@example("[" * 400, 0, "en")
@example("*a " * 130 + "`" * 99, 0, "en")
@example("&#0; &#x110000; &amp &;", 5, "en")
def test_no_text_fails_and_the_map_is_monotone(source: str, offset: int, language: str) -> None:
    """Whatever comes in, the map is as long as the text, never decreases and stays in the source."""
    spoken = speakable(source, offset, language)
    check_map(spoken, offset, offset + len(source))
    assert spoken == speakable(source, offset, language)
    assert not any("\ud800" <= c <= "\udfff" or c in "\x00\n\u200b\ufe0f" for c in spoken.text)


@given(st.lists(st.from_regex(r"[a-zA-Z]{1,12}", fullmatch=True), max_size=60))
def test_plain_words_are_said_as_they_are(words: list[str]) -> None:
    """Letters and spaces pass unchanged, each from its own place."""
    source = " ".join(words)
    spoken = speakable(source)
    assert spoken.text == source
    assert len(source) > PIECE or spoken.origin == tuple(range(len(source)))


def test_a_long_text_costs_in_proportion() -> None:
    """Far beyond a window the text is worked on in pieces; all of it is there."""
    spoken = speakable("word " * 20_000)
    assert spoken.text.count("word") == 20_000
    check_map(spoken, 0, 100_000)
