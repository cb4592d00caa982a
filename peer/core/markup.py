"""Markdown taken off a piece of text: which spans to drop, as edits of that text.

Knows nothing of speech. Pieces may begin or end inside markup, so blocks are recognised by their line's first
characters (a block parser would take a cut line for code or a definition); inline markup is markdown-it's to parse.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.helpers import parseLinkDestination, parseLinkTitle
from markdown_it.token import Token

Edit = tuple[int, int, str]
"""`[start, end)` of a text becomes the string. A list of edits is ascending and does not overlap."""

MAX_BRACKETS = 32
"""Opening brackets in one piece: each makes the parser look for its end, 400 of them take 4 ms."""
MAX_ENTITY = 33
"""Characters of an HTML entity: the longest name has 31."""

_PARSER = MarkdownIt("commonmark").enable("strikethrough")
_INLINE = re.compile(r"[*_`\[\]<&\\~]")

_LINES = re.compile(
    r"""^(?:
      (?P<drop>[ \t]*(?:(?:`{3,}|~{3,})[^\n`]{0,40}|(?:[-*_=][ \t]*){3,}|\|?[ \t]*:?-{2,}[-:| \t]*))$
    | (?P<lead>[ \t]*(?:>[ \t]?)*[ \t]*(?:(?:\#{1,6}|[-*+•‣◦])[ \t]+(?:\[[ xX]\][ \t]+)?|\|)|[ \t]*(?:>[ \t]?)+)
    )""",
    re.VERBOSE | re.MULTILINE,
)
_CLOSING = re.compile(r"[ \t]+#+[ \t]*$|[ \t]*\|[ \t]*$", re.MULTILINE)
_PRODUCT = re.compile(r"(?<=[0-9)])[ ]?\*[ ]?(?=[0-9(])")
_TAIL = re.compile(r"!?\[(?=[^\]]*\]\()|\]\([^()\s]{0,300}(?:\)|$)")
"""What a cut link leaves: `[text](` without its end, or `](address)` without its beginning."""


def block_edits(text: str) -> list[Edit]:
    """Fences, rules, headings, bullets, quotes and table pipes go; a product's asterisk becomes a sign."""
    spans = [(m.start(), m.end(), "") for m in _LINES.finditer(text) if m.end() > m.start()]
    spans += [(m.start(), m.end(), "") for m in _CLOSING.finditer(text)]
    spans += [(m.start(), m.end(), "×") for m in _PRODUCT.finditer(text)]
    spans.sort()
    edits: list[Edit] = []
    for span in spans:
        if not edits or span[0] >= edits[-1][1]:
            edits.append(span)
    return edits


def inline_edits(text: str) -> list[Edit]:
    """Emphasis, code, links, images, tags, escapes and entities, as far as they are complete."""
    if not _INLINE.search(text) or text.count("[") > MAX_BRACKETS:
        return []
    walk = _Walk(text)
    for block in _PARSER.parseInline(text):
        walk.follow(block.children or [])
    return walk.finish()


def dangling_edits(text: str) -> list[Edit]:
    """What is left of links that a cut went through; other leftovers are single signs, dropped with them."""
    return [(m.start(), m.end(), "") for m in _TAIL.finditer(text)]


class _Walk:
    """Aligns the parser's tokens, which carry no positions, with the text they came from."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._done = 0
        self._edits: list[Edit] = []

    def follow(self, tokens: list[Token]) -> None:
        for token in tokens:
            match token.type:
                case "text":
                    self._words(token.content)
                case "code_inline":
                    self._code(token)
                case "softbreak" | "hardbreak":
                    self._at = max(self._at, self._text.find("\n", self._at))
                    self._keep(1)
                case "html_inline":
                    self._replace(len(token.content), " ")
                case "image":
                    self._at += 2
                    self.follow(token.children or [])
                    self._link_end()
                case "link_open":
                    self._at += 1
                case "link_close" if token.markup == "autolink":
                    self._at += 1
                case "link_close":
                    self._link_end()
                case _:
                    self._at += len(token.markup)

    def finish(self) -> list[Edit]:
        if self._done < len(self._text):
            self._edits.append((self._done, len(self._text), ""))
        return self._edits

    def _keep(self, count: int) -> None:
        """The next `count` characters are text; what lies between them and the last kept ones is markup."""
        start, end = self._at, min(self._at + count, len(self._text))
        if start > self._done:
            self._edits.append((self._done, start, ""))
        self._at = self._done = max(end, self._done)

    def _replace(self, count: int, new: str) -> None:
        start, end = self._at, min(self._at + count, len(self._text))
        if start > self._done:
            self._edits.append((self._done, start, ""))
        if end > start:
            self._edits.append((start, end, new))
        self._at = self._done = max(end, self._done)

    def _words(self, content: str) -> None:
        if self._text.startswith(content, self._at):
            self._keep(len(content))
            return
        for char in content:
            self._word_char(char)

    def _word_char(self, char: str) -> None:
        """One character that may be written as an escape or an entity, or come after skipped spaces."""
        here = self._text[self._at : self._at + 2]
        if here[:1] == "&" and (end := self._text.find(";", self._at, self._at + MAX_ENTITY)) > 0:
            self._replace(end + 1 - self._at, char)
            return
        if here[:1] != char and (found := self._text.find(char, self._at)) >= 0:
            self._at = found
        if self._text.startswith(char, self._at):
            self._keep(1)

    def _code(self, token: Token) -> None:
        run = len(token.markup)
        start = self._at + run
        raw = self._text.replace("\n", " ")
        if not raw.startswith(token.content + token.markup, start):
            start += 1
        self._at = start
        self._keep(len(token.content))
        close = self._text.find(token.markup, self._at)
        self._at = close + run if close >= 0 else self._at

    def _link_end(self) -> None:
        """Past `](destination "title")`."""
        text, end = self._text, len(self._text)
        at = self._skip_space(self._at + 2)
        found = parseLinkDestination(text, at, end)
        if found.ok:
            at = self._skip_space(found.pos)
            title = parseLinkTitle(text, at, end)
            if title.ok:
                at = self._skip_space(title.pos)
        close = text.find(")", at)
        self._at = close + 1 if close >= 0 else end

    def _skip_space(self, at: int) -> int:
        while at < len(self._text) and self._text[at] in " \t\n":
            at += 1
        return at
