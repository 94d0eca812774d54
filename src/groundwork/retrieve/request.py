"""What a person asks, in the names they use; `scope` turns the names into filters."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace

from groundwork.access.scope import ANYONE, Caller
from groundwork.candidates import Filters
from groundwork.retrieve import scope
from groundwork.retrieve.search import Mode, Question
from groundwork.store.database import Database


@dataclass(frozen=True)
class Request:
    """What a person asks, in the names they use. None means: no restriction."""

    text: str
    limit: int = 10
    mode: Mode = "hybrid"
    collections: list[str] | None = None
    sources: list[str] | None = None
    media_types: list[str] | None = None
    tags: list[str] | None = None
    since: str | None = None
    until: str | None = None
    caller: Caller = ANYONE
    rerank: bool | None = None
    """Whether a reranker orders what is found; None: when one is set."""


def question(database: Database, request: Request, limit: int) -> Question:
    """The question of a request, for `limit` passages; its names are resolved when it is searched for."""

    def resolve() -> Awaitable[Filters]:
        return scope.resolve(
            database,
            request.caller,
            request.collections,
            request.sources,
            request.media_types,
            request.tags,
            request.since,
            request.until,
        )

    return Question(request.text, resolve, limit, request.mode, request.rerank)


async def settled(question: Question) -> Question:
    """The same with its names resolved already. Raises Invalid, NotFound."""
    filters = await question.scope()

    async def already() -> Filters:
        return filters

    return replace(question, scope=already)
