"""How search and answers are put together from what the Platform holds."""

from collections.abc import Callable

from groundwork.answer.ask import Asker, Policy
from groundwork.answer.dialogue import Dialogues
from groundwork.answer.generate import Generator
from groundwork.answer.remember import Memory
from groundwork.caches import Cache
from groundwork.lexical.follow import Follower
from groundwork.retrieve.rerank import Reranking
from groundwork.retrieve.search import Searcher
from groundwork.settings import Settings
from groundwork.spaces.active import ActiveSpace
from groundwork.store.database import Database
from groundwork.vectors import VectorIndex


def searcher(
    settings: Settings,
    database: Database,
    space: Callable[[], ActiveSpace],
    vectors: VectorIndex,
    lexical: Follower,
    reranking: Reranking | None = None,
) -> Searcher:
    """Search in a space; without `reranking` the passages stay as they were found."""
    chosen = settings.retrieval
    return Searcher(
        database,
        space,
        vectors,
        lambda: lexical.index,
        lexical.distrust,
        chosen.candidates,
        chosen.dense_weight,
        reranking,
    )


def asker(
    settings: Settings,
    database: Database,
    searcher: Searcher,
    space: Callable[[], ActiveSpace],
    generator: Generator,
    dialogues: Dialogues,
    cache: Cache,
) -> Asker:
    """Answers from what the searcher finds."""
    extract = settings.budgets.over_budget == "extract"
    policy = Policy(settings.answer, settings.llms.private, extract, (settings.retrieval, settings.reranker))
    memory = Memory(cache, settings.cache.answer_seconds)
    return Asker(database, searcher, space, generator, dialogues, memory, policy)
