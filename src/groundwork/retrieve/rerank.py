"""Found passages before a reranker: which may be shown to it, how long it may take, and what happens when it fails.

Nothing here fails a search. Where there is no order to be had, the passages stay as they were found.
"""

import asyncio
import time
from collections.abc import Sequence

import structlog

from groundwork.errors import GroundworkError
from groundwork.rerankers import Reranker
from groundwork.retrieve.records import ChunkRow
from groundwork.settings.models import RerankerSettings
from groundwork.spaces.passages import passage_text

log = structlog.get_logger()

_WARN_AGAIN_SECONDS = 60.0


class Reranking:
    """A reranker, and the bounds within which searches use it."""

    def __init__(self, reranker: Reranker, settings: RerankerSettings) -> None:
        self.candidates = settings.candidates
        """How many of the passages found are put into order."""
        self.reranker = reranker
        self._timeout_seconds = settings.timeout_seconds
        self._warned_at: float | None = None
        self._failed = 0

    async def warm(self) -> None:
        """Has it load what the first question would otherwise wait for."""
        try:
            await self.reranker.warm()
        except Exception as error:
            self._warn(_reason(error))

    async def scores(self, question: str, chunks: Sequence[ChunkRow]) -> list[float] | None:
        """A score for each chunk, 0 to 1; None when there is nothing to score, it may not be shown, or it failed.

        A chunk is shown as the embedder saw it: its title and headings before its text. One of a private collection
        goes to a private reranker only, and where one is among them no order of the others would be one of all.
        """
        if not chunks or (any(chunk.private for chunk in chunks) and not self.reranker.private):
            return None
        texts = [passage_text(chunk.title, chunk.heading_path, chunk.text) for chunk in chunks]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self.reranker.score(question, texts)
        except Exception as error:  # whatever it is: whoever asked gets what was found
            self._warn(_reason(error))
            return None

    def _warn(self, reason: str) -> None:
        """Says so at most once a minute, and how often it was since the last time."""
        self._failed += 1
        now = time.monotonic()
        if self._warned_at is not None and now - self._warned_at < _WARN_AGAIN_SECONDS:
            return
        log.warning("the reranker fails; passages stay as they were found", reason=reason, failures=self._failed)
        self._warned_at, self._failed = now, 0


def _reason(error: Exception) -> str:
    """What may be logged: our own messages carry no secrets, those of others might."""
    if isinstance(error, TimeoutError):
        return "it took too long (GROUNDWORK_RERANKER__TIMEOUT_SECONDS)"
    return error.message if isinstance(error, GroundworkError) else type(error).__name__
