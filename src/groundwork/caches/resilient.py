"""Redis as long as it answers, memory while it does not: no request fails or waits because of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from groundwork.caches import Cache, Change
from groundwork.caches.memory import MemoryCache
from groundwork.caches.outage import Outage
from groundwork.errors import Unavailable
from groundwork.telemetry import metrics

T = TypeVar("T")

_MOST_OUTDATED = 10_000
_BATCH = 100
_PROBE = "probe"


class ResilientCache:
    """A cache that falls back. Whoever is asking when `first` fails loses one time-out; after that nobody waits for it.

    When it is back, what memory holds is dropped, and what was changed meanwhile is forgotten in `first` as well: its
    values from before the outage are not the newest.
    """

    def __init__(self, first: Cache, memory: MemoryCache, probe_seconds: float) -> None:
        self._first = first
        self._memory = memory
        self._probe_seconds = probe_seconds
        self._outdated: set[str] = set()
        self._outage = Outage("what is remembered is kept", self._return, probe_seconds, self._told)

    @property
    def fallback_active(self) -> bool:
        """Whether memory stands in."""
        return self._outage.active

    @property
    def shared(self) -> bool:
        """While memory does not stand in."""
        return self._first.shared and not self.fallback_active

    async def get(self, key: str) -> bytes | None:
        """The value, unless it was never set, has expired, or was forgotten."""
        return await self._either(lambda cache: cache.get(key))

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Remembers a value for so long."""
        await self._either(lambda cache: cache.set(key, value, seconds), key)

    async def delete(self, key: str) -> None:
        """Forgets a value."""
        await self._either(lambda cache: cache.delete(key), key)

    async def update(self, key: str, change: Change[T], seconds: float) -> T:
        """Changes a value in one step, whoever else changes it at the same moment."""
        return await self._either(lambda cache: cache.update(key, change, seconds), key)

    async def close(self) -> None:
        """Closes both."""
        await self._outage.close()
        await self._first.close()
        await self._memory.close()

    async def _either(self, ask: Callable[[Cache], Awaitable[T]], changed: str | None = None) -> T:
        if not self._outage.active:
            try:
                return await ask(self._first)
            except Unavailable as error:
                self._outage.begin(error)
        if changed is not None and len(self._outdated) < _MOST_OUTDATED:
            self._outdated.add(changed)
        return await ask(self._memory)

    async def _return(self) -> None:
        """Raises Unavailable while `first` takes no values. Nothing waits after the last look at what is outdated."""
        await self._first.set(_PROBE, b"1", self._probe_seconds)
        forgotten: set[str] = set()
        while outdated := [key for key in self._outdated if key not in forgotten]:
            # What changes once more meanwhile is not there to be outdated again.
            for start in range(0, len(outdated), _BATCH):
                await asyncio.gather(*map(self._first.delete, outdated[start : start + _BATCH]))
            forgotten.update(outdated)
        self._outdated.clear()

    def _told(self, active: bool) -> None:
        metrics.cache_fallback(active)
        self._memory.clear()
