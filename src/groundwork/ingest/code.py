"""The structure of source code, told by its lines: what defines something, and by indentation how far that reaches.

No grammar of a language is needed, a file that does not compile is read like any other, and no line is ever lost.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_TAB = 4
_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|override|virtual|sealed|open|"
    r"data|inline|extern|const|unsafe|partial|suspend|pub(?:\([\w: ]+\))?|local|declare|readonly|synchronized)\s+)*"
)
_KEYWORD = re.compile(
    _MODIFIERS
    + r"(?:class|struct|interface|enum|trait|impl|module|namespace|object|record|protocol|extension|union|def|"
    r"func|function\*?|fun|fn|sub|procedure|type)(?:<[^<>]*>)?\s+(?:\([^()]*\)\s*)?([A-Za-z_$][\w$.:]*)"
)
_BOUND = re.compile(
    _MODIFIERS + r"(?:const|let|var)\s+([\w$]+)\s*(?::[^=]+)?=\s*(?:async\s*)?"
    r"(?:function\b|class\b|\([^()]*\)[^=]*=>|[\w$]+\s*=>)"
)
_SQL = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:table|view|function|procedure|trigger|type|index)\s+(?:if\s+not\s+exists\s+)?([\w.\"]+)",
    re.I,
)
_SHELL = re.compile(r"([\w-]+)\s*\(\)\s*\{")
# C and what came of it: types, a name, arguments, and no semicolon, which would make it a declaration or a call.
_CALLED = re.compile(_MODIFIERS + r"(?:[A-Za-z_][\w:<>,.\[\]?]*[\s*&]+)*(~?[A-Za-z_$][\w:$~]*)\s*\([^;]*$")
_NO_DEFINITION = re.compile(
    r"(?:if|else|elif|for|foreach|while|do|switch|case|return|catch|try|with|when|match|assert|print|throw|raise|await|yield|"
    r"new|delete|typeof|sizeof|using|import|from|include|require|package|echo|in|not|and|or|except|finally|unless|until)\b"
)
_LEADING = re.compile(r"(?:#(?!include|define|if|endif|else|pragma)|//|/\*|\*|@|--|\[[A-Z]|///|\"\"\"|;;)")
_LONGEST_LINE = 300
_DEEPEST = 40
"""Columns of indentation beyond which nothing is defined that anyone looks for."""
_MOST_LEADING = 60
_CLOSING = re.compile(r"[)\]}]|end\b|else\b|\{\s*$")


class Definition(NamedTuple):
    """Something the code defines: where it stands with the comments above it, its name, how far it is indented."""

    start: int
    end: int
    name: str
    indent: int


class Code:
    """A source file's lines and what they define."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.starts = _line_starts(text)
        lines = text.split("\n")
        self._blank = [not line.strip() for line in lines]
        self._indents = [_indent(line) for line in lines]
        self.definitions = self._find(lines)
        self._begins = {definition.start: definition.indent for definition in reversed(self.definitions)}

    def path(self, start: int, end: int) -> tuple[str, ...]:
        """The names of the definitions that hold all of `text[start:end]`, outermost first."""
        holding = [one for one in self.definitions if one.start <= start and end <= one.end]
        return tuple(one.name for one in holding)

    def spans(self, count: Callable[[str], int], limit: int) -> list[tuple[int, int]]:
        """Consecutive parts of at most `limit` tokens that end where a definition does, or else a paragraph, or a line.

        A single line that is longer is a part by itself.
        """
        sizes = [count(self._text[start:end]) for start, end in self._lines()]
        spans: list[tuple[int, int]] = []
        first = 0
        while first < len(sizes):
            after = self._fitting(sizes, first, limit)
            if after < len(sizes):
                after = self._best_cut(sizes, first, after, limit)
            spans.append((self.starts[first], self._start_of(after)))
            first = after
        return spans

    def _lines(self) -> list[tuple[int, int]]:
        return [(start, self._start_of(number + 1)) for number, start in enumerate(self.starts)]

    def _start_of(self, line: int) -> int:
        return self.starts[line] if line < len(self.starts) else len(self._text)

    @staticmethod
    def _fitting(sizes: Sequence[int], first: int, limit: int) -> int:
        """The line after the last that fits together with those since `first`; at least one does."""
        total, after = sizes[first], first + 1
        while after < len(sizes) and total + sizes[after] <= limit:
            total += sizes[after]
            after += 1
        return after

    def _best_cut(self, sizes: Sequence[int], first: int, last: int, limit: int) -> int:
        """Where to cut among the lines up to `last`: the outermost boundary, and of equal ones the last."""
        total, best, rank = 0, last, self._rank(last)
        for line in range(first + 1, last + 1):
            total += sizes[line - 1]
            here = self._rank(line)
            # A few lines alone answer nothing, unless what follows is a whole that would be torn otherwise.
            if here <= rank and total * 8 >= limit:
                best, rank = line, here
        return best

    def _rank(self, line: int) -> int:
        """How bad it is to cut before `line`: before a definition best, the outer the better."""
        indent = self._begins.get(self._start_of(line))
        if indent is not None:
            return indent
        nested = self._indents[line] if line < len(self._indents) else 0
        if line and self._blank[line - 1] and not self._blank[line]:
            return 100 + nested
        return 300 + nested if not self._blank[line] else 200

    def _find(self, lines: Sequence[str]) -> list[Definition]:
        found: list[Definition] = []
        for number, line in enumerate(lines):
            name = _defined(line)
            if name:
                start = self._with_leading(lines, number)
                end = self._end(lines, number)
                found.append(Definition(self.starts[start], self._start_of(end), name, self._indents[number]))
        return found

    def _with_leading(self, lines: Sequence[str], number: int) -> int:
        """The first line of the comments and decorators right above a definition."""
        first = number
        while first and number - first < _MOST_LEADING and not self._blank[first - 1]:
            above = lines[first - 1].strip()
            if above.startswith(")"):
                first = self._decorator(lines, first - 1)
                break
            if self._indents[first - 1] != self._indents[number] and not above.startswith("*"):
                break
            if not _LEADING.match(above):
                break
            first -= 1
        return first

    def _decorator(self, lines: Sequence[str], last: int) -> int:
        """The first line of a decorator over several lines that ends in line `last`; the line after it when it is none."""
        first = last - 1
        while first > max(last - _MOST_LEADING, 0) and self._indents[first] > self._indents[last]:
            first -= 1
        return first if lines[first].lstrip().startswith("@") else last + 1

    def _end(self, lines: Sequence[str], number: int) -> int:
        """The line after a definition: the first that is indented no further, brackets that close it aside."""
        indent = self._indents[number]
        line, last = number + 1, number + 1
        while line < len(lines):
            if not self._blank[line]:
                if self._indents[line] <= indent and not _CLOSING.match(lines[line].strip()):
                    break
                last = line + 1
            line += 1
        return last


def _defined(line: str) -> str:
    stripped = line.strip()
    if not stripped or len(stripped) > _LONGEST_LINE or _NO_DEFINITION.match(stripped):
        return ""
    if not (stripped[0].isalpha() or stripped[0] in "_~$") or _indent(line) > _DEEPEST:
        return ""
    match = next((found for kind in (_KEYWORD, _BOUND, _SQL, _SHELL) if (found := kind.match(stripped))), None)
    if match is None and _opens(stripped) and _indent(line) <= 2 * _TAB:
        match = _CALLED.match(stripped)
    return match[1].strip('":') if match else ""


def _opens(line: str) -> bool:
    """Whether a line in the manner of C opens a body, or may do so on the next line; a call does neither."""
    return line.endswith("{") or (line.endswith((")", ",", "(")) and " " in line.split("(")[0].strip())


def _indent(line: str) -> int:
    expanded = line[: len(line) - len(line.lstrip())].expandtabs(_TAB)
    return len(expanded)


def _line_starts(text: str) -> list[int]:
    starts = [0]
    at = text.find("\n")
    while at >= 0:
        starts.append(at + 1)
        at = text.find("\n", at + 1)
    return starts
