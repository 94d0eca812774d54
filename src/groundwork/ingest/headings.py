"""The headings of a Markdown text and where they stand: CommonMark's ATX and setext forms, outside code.

Found once per document; which headings a chunk stands under is then a bisection.
"""

import re
from bisect import bisect_right
from typing import NamedTuple

_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:$|[ \t](.*))")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NOT_PARAGRAPH = re.compile(r" {0,3}(?:#{1,6}\s|>|[-*+]\s|\d{1,9}[.)]\s|\|)|\s*$| {4}|\t")
_LONGEST = 500
"""Characters of a heading that are kept; a longer one is a paragraph that someone marked up as a heading."""
_MARKUP = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)|[*`]+|(?<!\w)_+|_+(?!\w)|\\(?=[!-/:-@\[-`{-~])")


class Heading(NamedTuple):
    """One heading: the offsets of its lines in the text, its level from 1 to 6, and its words without markup."""

    start: int
    end: int
    level: int
    words: str


class Outline:
    """A document's headings, in order."""

    def __init__(self, text: str) -> None:
        self.headings = _find(text)
        self._starts = [heading.start for heading in self.headings]
        self._paths = _paths(self.headings)

    def path(self, position: int) -> tuple[str, ...]:
        """The headings that the character at `position` stands under, outermost first."""
        index = bisect_right(self._starts, position) - 1
        return self._paths[index] if index >= 0 else ()

    def is_heading(self, position: int) -> bool:
        """Whether the character at `position` is part of a heading."""
        index = bisect_right(self._starts, position) - 1
        return index >= 0 and position < self.headings[index].end

    def next_heading(self, start: int, end: int) -> int | None:
        """Where the first heading after `start` and before `end` begins; None without one."""
        index = bisect_right(self._starts, start)
        return self._starts[index] if index < len(self._starts) and self._starts[index] < end else None

    def after_headings(self, text: str, start: int, end: int) -> int | None:
        """The first character of `text[start:end]` that is neither space nor part of a heading; None without one."""
        index = bisect_right(self._starts, start) - 1
        if index >= 0 and self.headings[index].end > start:
            start = self.headings[index].end
        while True:
            rest = text[start:end]
            stripped = rest.lstrip()
            if not stripped:
                return None
            start += len(rest) - len(stripped)
            index = bisect_right(self._starts, start) - 1
            if index < 0 or self.headings[index].end <= start:
                return start
            start = self.headings[index].end


def first_heading(text: str) -> str | None:
    """The words of the first heading of the first level, else of the first heading; None without one."""
    named = [heading for heading in _find(text[:100_000]) if heading.words]
    top = next((heading for heading in named if heading.level == 1), None)
    chosen = top or next(iter(named), None)
    return chosen.words if chosen else None


def _paths(headings: list[Heading]) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    above: list[Heading] = []
    for heading in headings:
        while above and above[-1].level >= heading.level:
            above.pop()
        above.append(heading)
        paths.append(tuple(one.words for one in above if one.words))
    return paths


def _find(text: str) -> list[Heading]:
    found: list[Heading] = []
    fence = ""
    paragraph: tuple[int, str] | None = None
    position = _front_matter(text)
    for line in text[position:].split("\n"):
        start, position = position, position + len(line) + 1
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
        elif mark:
            fence, paragraph = mark[1], None
        elif match := _ATX.match(line):
            found.append(Heading(start, start + len(line), len(match[1]), _words(_unclosed(match[2] or ""))))
            paragraph = None
        elif paragraph and (match := _SETEXT.match(line)):
            level = 1 if match[1][0] == "=" else 2
            found.append(Heading(paragraph[0], start + len(line), level, _words(paragraph[1])))
            paragraph = None
        elif _NOT_PARAGRAPH.match(line):
            paragraph = None
        else:
            # A heading of several lines is legal and rare; a paragraph over a rule is common and no heading.
            paragraph = (start, line) if paragraph is None else None
    return found


def _front_matter(text: str) -> int:
    """Where the text goes on after YAML front matter; 0 without any."""
    if not text.startswith("---\n"):
        return 0
    end = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.M).search(text, 4)
    return end.end() if end and end.start() < 20_000 and ":" in text[4 : end.start()] else 0


def _unclosed(heading: str) -> str:
    """A heading's content without the number signs that may close it."""
    whole = heading.strip()
    content = whole.rstrip("#")
    return content if not content or content[-1] in " \t" else whole


def _words(markup: str) -> str:
    return " ".join(_MARKUP.sub(lambda match: match[1] or "", markup.strip()[:_LONGEST]).split())
