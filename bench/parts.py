"""The raw parts of a search, each called alone, nothing around it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from groundwork.access.gate import demand
from groundwork.access.scope import ANYONE
from groundwork.assembly import Platform
from groundwork.candidates import Filters
from groundwork.evaluate.metrics import percentile
from groundwork.retrieve import records, scope

PARTS = ("embed", "vector", "bm25", "hydrate")
_CANDIDATES = 100
_SHOWN = 10
T = TypeVar("T")


@dataclass
class Parts:
    """Latencies of each part in milliseconds."""

    ms: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def p50(self) -> dict[str, float]:
        """The median of each part."""
        return {part: percentile(values, 0.5) for part, values in self.ms.items()}


async def gate_ms(platform: Platform, key: str, requests: int = 300) -> float:
    """What identity costs a search, at the median, in milliseconds: who asks, whether they may, what is left to them."""
    access = platform.access
    latencies: list[float] = []
    for _ in range(requests):
        began = time.perf_counter()
        await access.maintenance.is_on()
        caller = await access.gate.identify(key, None, "192.0.2.1")
        await access.limiter.hit("search", caller.name)
        demand(caller, "search")
        latencies.append((time.perf_counter() - began) * 1000)
    return sorted(latencies)[len(latencies) // 2]


async def filters(platform: Platform) -> Filters:
    """Everything in scope."""
    return await scope.resolve(platform.database, ANYONE)


async def measure(platform: Platform, within: Filters, questions: list[str], into: Parts) -> None:
    """Times the parts for each question, one after the other."""
    for question in questions:
        began = time.perf_counter()
        vector = platform.embedder.embed_query(question)
        into.ms["embed"].append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        platform.lexical.index.search(question, within, _CANDIDATES)
        into.ms["bm25"].append((time.perf_counter() - began) * 1000)
        hits = await _timed(
            into, "vector", lambda v=vector: platform.vectors.search(platform.space, v, within, _CANDIDATES)
        )
        ids = [hit.chunk_id for hit in hits[:_SHOWN]]
        await _timed(into, "hydrate", lambda i=ids: records.chunks(platform.database, i, within))


async def _timed(into: Parts, part: str, call: Callable[[], Awaitable[T]]) -> T:
    began = time.perf_counter()
    result = await call()
    into.ms[part].append((time.perf_counter() - began) * 1000)
    return result
