"""Files inside a document, each read by its own format and put under a heading with its name.

One that cannot be read is named with the reason; the document itself never fails for it.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from groundwork.errors import GroundworkError
from groundwork.ingest.mail import Part

_DEEPEST = 3
"""Mails in mails in mails; what is deeper is named and not opened."""
_MOST_FILES = 100
_WRAPPING = 1 << 20
"""Bytes by which writing headers anew may lengthen mails inside mails."""
_ATX = re.compile(r"^( {0,3})(#{1,5})(?=[ \t]|$)")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")


class Text(Protocol):
    """What is needed of a file that was read."""

    @property
    def text(self) -> str:
        """Its words."""
        ...

    @property
    def markdown(self) -> bool:
        """Whether it is Markdown."""
        ...

    @property
    def code(self) -> bool:
        """Whether it is source code."""
        ...


@dataclass
class Allowance:
    """What the files inside one document may take in all, however deep they are: number, bytes, seconds, characters."""

    max_bytes: int
    seconds: float
    characters: int
    files: int = _MOST_FILES
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def inside(cls, content: bytes, seconds: float, characters: int) -> "Allowance":
        """For the files inside `content`: no file adds bytes, but each is seen once in every file it lies in."""
        return cls(_DEEPEST * len(content) + _WRAPPING, seconds, characters)

    def refusal(self, part: Part, depth: int) -> str:
        """Why `part` may not be opened; empty, and its share taken, when it may."""
        if not part.content:
            return "It is empty or damaged."
        if depth >= _DEEPEST:
            return f"It lies more than {_DEEPEST} files deep."
        if self.files < 1:
            return f"There are more than {_MOST_FILES} files inside."
        if self.max_bytes < len(part.content):
            return "The files inside are too large together."
        if time.monotonic() - self.began > self.seconds:
            return "Reading the files inside took too long."
        if self.characters <= 0:
            return "The files inside hold too much text together."
        self.files -= 1
        self.max_bytes -= len(part.content)
        return ""


Read = Callable[[bytes, str, int], Text]
"""Reads a file's content, given its name and how deep it lies. Raises GroundworkError."""


def with_attachments(text: str, parts: Sequence[Part], read: Read, depth: int, allowance: Allowance) -> str:
    """`text` and below it what the files hold, as Markdown."""
    return "\n\n".join([text.rstrip(), *(_section(part, read, depth, allowance) for part in parts)]).lstrip("\n")


def _section(part: Part, read: Read, depth: int, allowance: Allowance) -> str:
    heading = f"# Attachment: {part.name}"
    reason = allowance.refusal(part, depth)
    if not reason:
        try:
            found = read(part.content, part.name, depth + 1)
        except GroundworkError as error:
            reason = error.message
        else:
            allowance.characters -= len(found.text)
            return f"{heading}\n\n{_nested(found)}"
    return f"{heading}\n\n(This attachment was not read. {reason})"


def _nested(found: Text) -> str:
    text = found.text.strip("\n")
    if found.code:
        return f"```\n{text}\n```"
    return _one_lower(text) if found.markdown else text


def _one_lower(markdown: str) -> str:
    """Headings one level further down, so that they stand under the attachment's own."""
    fence = ""
    lines: list[str] = []
    for line in markdown.split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        lines.append(line if fence or mark else _ATX.sub(r"\1#\2", line))
    return "\n".join(lines)
