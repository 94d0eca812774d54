"""Rerankers: how well each of a few texts answers a question, judged with both before the eyes. Off unless chosen.

One port, one file per adapter, and a deterministic double. Only `assembly` names an adapter.
"""

from collections.abc import Sequence
from typing import Protocol


class Reranker(Protocol):
    """Scores texts for a question. Safe for any number of concurrent calls."""

    @property
    def name(self) -> str:
        """What it is, for reports and cache keys: kind and model."""
        ...

    @property
    def private(self) -> bool:
        """Whether what it is given stays on machines that may see private collections."""
        ...

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score a text, in the order given; higher is better, 0 to 1. Raises Unavailable.

        What is too long for the model is cut at its end. Scores are comparable within one answer only.
        """
        ...

    async def warm(self) -> None:
        """Loads what the first callers would otherwise wait for. Raises Unavailable when that cannot be had."""
        ...

    async def close(self) -> None:
        """Gives back what it holds."""
        ...
