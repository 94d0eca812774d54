"""Citation marks in a text that is still being written: `[1]`, `[1, 2]`, wherever a piece may end."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MARK = re.compile(r"\[(?:passages?\s+)?(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]", re.IGNORECASE)
_UNFINISHED = re.compile(r"\[(?:p(?:a(?:s(?:s(?:a(?:g(?:es?)?)?)?)?)?)?\s{0,2})?[\d,;\s]{0,24}$", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """Text as it stands."""

    text: str


@dataclass(frozen=True)
class Mark:
    """Numbers of passages, as the model wrote them."""

    numbers: tuple[int, ...]


class Marks:
    """Tells words from marks in pieces that come one by one."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> Iterator[Words | Mark]:
        """What is certain by now; the beginning of what may become a mark is held back."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = text[end:]
        yield from _parts(text[:end])

    def rest(self) -> Iterator[Words | Mark]:
        """What was held back, at the end of all pieces."""
        held, self._held = self._held, ""
        yield from _parts(held)


def _parts(text: str) -> Iterator[Words | Mark]:
    at = 0
    for match in _MARK.finditer(text):
        if match.start() > at:
            yield Words(text[at : match.start()])
        yield Mark(tuple(int(number) for number in re.findall(r"\d+", match.group(1))))
        at = match.end()
    if text[at:]:
        yield Words(text[at:])


def without(text: str) -> str:
    """The text with its marks taken out, as it goes back to a model."""
    return re.sub(r"\s*" + _MARK.pattern, "", text, flags=re.IGNORECASE).replace(" [?]", "")
