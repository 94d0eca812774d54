"""The platform as an evaluation sees it: what it needs of it, and nothing else."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from groundwork.access.scope import OPERATOR
from groundwork.answer.dialogue import Dialogue
from groundwork.errors import Invalid, NotFound
from groundwork.ingest import sync
from groundwork.ingest.items import Item
from groundwork.rerankers import Reranker
from groundwork.retrieve.request import Request
from groundwork.retrieve.search import NO_RERANKER, Found, Mode


@dataclass(frozen=True)
class Measured:
    """What is measured, by calls on the platform."""

    ingest_items: Callable[[list[Item], str, sync.Progress], Awaitable[sync.Report]]
    find: Callable[[Request], Awaitable[Found]]
    ask: Callable[[Request, Dialogue], Awaitable[dict[str, Any]]]
    delete_collection: Callable[[str], Awaitable[dict[str, Any]]]
    reranker: Reranker | None
    """The one that is set."""
    rerank: bool | None
    """Whether it is wanted; None: when there is one."""

    async def order(self) -> str | None:
        """The name of the reranker, which has just answered; None without one.

        Raises Invalid when one is wanted and none is set, Unavailable.
        """
        if self.rerank and self.reranker is None:
            raise Invalid(NO_RERANKER)
        if self.reranker is None or self.rerank is False:
            return None
        await self.reranker.score("ready", ["ready"])
        return self.reranker.name

    @property
    def is_reranked(self) -> bool:
        """Whether searches are measured with the reranker."""
        return self.reranker is not None and self.rerank is not False

    async def ingest(self, items: list[Item], collection: str, progress: sync.Progress) -> sync.Report:
        """Takes documents into a collection."""
        return await self.ingest_items(items, collection, progress)

    async def search(self, text: str, collection: str, mode: Mode, limit: int) -> Found:
        """Passages for a question."""
        return await self.find(Request(text, limit, mode, [collection], caller=OPERATOR, rerank=self.is_reranked))

    async def quotes(self, text: str, collection: str) -> list[str]:
        """What an answer made of the documents' own sentences quotes; no model is paid for it."""
        request = Request(text, collections=[collection], caller=OPERATOR, rerank=self.is_reranked)
        answer = await self.ask(request, Dialogue(generate=False))
        return [citation["quote"] for citation in answer["citations"]]

    async def forget(self, collection: str) -> None:
        """Removes the collection, if it is there."""
        with suppress(NotFound):
            await self.delete_collection(collection)
