"""An evaluation: a BEIR folder into a throw-away collection, every question searched, the rankings measured."""

import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from groundwork.evaluate import beir, metrics
from groundwork.ingest.items import Item
from groundwork.ingest.sync import Progress, Report
from groundwork.retrieve.search import Found, Mode

_DEEP = 200
_URI = "eval:"


class System(Protocol):
    """What is measured: a way to take documents in and the calls a reader makes."""

    async def order(self) -> str | None:
        """The name of what puts passages into order, None without it. Raises Unavailable when it does not answer."""
        ...

    async def ingest(self, items: list[Item], collection: str, progress: Progress) -> Report:
        """Takes the documents in."""
        ...

    async def search(self, text: str, collection: str, mode: Mode, limit: int) -> Found:
        """Passages for a question."""
        ...

    async def quotes(self, text: str, collection: str) -> list[str]:
        """The cited quotes of the answer, in the order of their citations."""
        ...

    async def forget(self, collection: str) -> None:
        """Removes the collection."""
        ...


Step = Callable[[str, int, int], None]
"""Told which stage runs, how much of it is done, and of how much."""


async def evaluate(system: System, folder: Path, mode: Mode, qrels: str | None, step: Step) -> dict[str, Any]:
    """The report of one evaluation. Raises Invalid for a folder that is not in BEIR layout, Unavailable."""
    dataset = beir.load(folder, qrels)
    reranker = await system.order()
    collection = f".eval-{uuid4().hex[:12]}"
    prefix = f"{_URI}{dataset.name}/"
    items = [_item(prefix, document) for document in dataset.documents]
    try:
        ingested = await system.ingest(items, collection, lambda total, tally: step("documents", tally.done, total))
        report, unordered = await _measure(system, dataset, collection, mode, prefix, step)
    finally:
        await system.forget(collection)
    return {
        "dataset": dataset.name,
        "mode": mode,
        "reranker": reranker,
        "documents": len(dataset.documents),
        "queries": len(dataset.queries),
        **report,
        **({"not_reranked": unordered} if reranker and unordered else {}),
        "chunks": ingested.tally.chunks,
        "ingest_seconds": round(ingested.seconds, 2),
        "failed": ingested.tally.failed,
    }


async def _measure(
    system: System, dataset: beir.Dataset, collection: str, mode: Mode, prefix: str, step: Step
) -> tuple[dict[str, Any], int]:
    """The figures, and how many questions no reranker has put into order."""
    unordered = 0
    rankings: list[list[str]] = []
    latencies: list[float] = []
    for done, query in enumerate(dataset.queries, start=1):
        began = time.perf_counter()
        short = await system.search(query.text, collection, mode, 10)
        latencies.append((time.perf_counter() - began) * 1000)
        deep = await system.search(query.text, collection, mode, _DEEP)
        rankings.append(_collapse(deep, prefix))
        unordered += any(found.passages and not found.reranked for found in (short, deep))
        step("questions", done, len(dataset.queries))
    pairs = list(zip(rankings, [query.relevant for query in dataset.queries], strict=True))
    figures = {
        "ndcg@10": _rounded([metrics.ndcg(ranking, relevant, 10) for ranking, relevant in pairs]),
        "recall@10": _rounded([metrics.recall(ranking, relevant, 10) for ranking, relevant in pairs]),
        "recall@100": _rounded([metrics.recall(ranking, relevant, 100) for ranking, relevant in pairs]),
        "mrr@10": _rounded([metrics.reciprocal_rank(ranking, relevant, 10) for ranking, relevant in pairs]),
        "search_p50_ms": round(metrics.percentile(latencies, 0.5), 2),
        "search_p95_ms": round(metrics.percentile(latencies, 0.95), 2),
        **await _answer_hits(system, dataset, collection, step),
    }
    return figures, unordered


async def _answer_hits(system: System, dataset: beir.Dataset, collection: str, step: Step) -> dict[str, float]:
    """How often a gold string stands in the first, in one of the first three, cited quotes."""
    asked = [query for query in dataset.queries if query.answers]
    places: list[int | None] = []
    for done, query in enumerate(asked, start=1):
        quotes = await system.quotes(query.text, collection)
        places.append(_first_with(quotes, query.answers))
        step("answers", done, len(asked))
    if not asked:
        return {}
    return {
        "answer_hit@1": _rounded([float(place == 0) for place in places]),
        "answer_hit@3": _rounded([float(place is not None and place < 3) for place in places]),
    }


def _first_with(quotes: Sequence[str], answers: Sequence[str]) -> int | None:
    golds = [_plain(answer) for answer in answers]
    for place, quote in enumerate(quotes):
        if any(gold in _plain(quote) for gold in golds):
            return place
    return None


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip().lower()


def _collapse(found: Found, prefix: str) -> list[str]:
    """Passages to documents, each at the place of its best passage."""
    ids = (passage.chunk.uri.removeprefix(prefix) for passage in found.passages)
    return list(dict.fromkeys(ids))


def _item(prefix: str, document: beir.Document) -> Item:
    content = (document.text or document.title).encode()
    return Item(prefix + document.id, "document.txt", lambda: content, document.title or None)


def _rounded(values: Sequence[float]) -> float:
    return round(metrics.mean(values), 4)
