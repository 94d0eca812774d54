"""The deterministic double: no model, the share of the question's words that a text has. For tests."""

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


class OverlapReranker:
    """Sees words and nothing else; which of two texts with the same words is longer does not matter."""

    @property
    def name(self) -> str:
        return "overlap"

    @property
    def private(self) -> bool:
        """It is: nothing leaves the process."""
        return True

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        return [overlap(question, text) for text in texts]

    async def warm(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Holds nothing."""


def overlap(question: str, text: str) -> float:
    """The share of the question's words that the text has; 0 for a question without words."""
    asked = _words(question)
    return len(asked & _words(text)) / max(1, len(asked))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))
