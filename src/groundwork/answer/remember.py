"""Answers that are reused: from the cache, and by whoever asks the same while one is being written.

The key holds everything an answer depends on: the question, the exact scope it was searched in, the generation of each
collection there (it grows with every visible change), the rules models are given, which models those are, and how is
searched. So nobody gets an answer made from what they may not read, or from what has changed since.
"""

import asyncio
import hashlib
import unicodedata
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json

from groundwork import __version__
from groundwork.answer.events import Event, tell
from groundwork.answer.prompt import VERSION
from groundwork.caches import Cache
from groundwork.candidates import Filters
from groundwork.errors import OverBudget, Unavailable
from groundwork.telemetry import metrics

_PREFIX = "answer:"
Events = Callable[[], AsyncGenerator[Event]]


def key_of(question: str, filters: Filters, generations: Mapping[UUID, int], **policy: object) -> str:
    """The key of an answer: equal only where the same answer is right."""
    parts = [
        __version__,
        VERSION,
        " ".join(unicodedata.normalize("NFC", question).split()).casefold(),
        sorted((str(each), generations.get(each, 0)) for each in filters.collections),
        [repr(each) for each in (filters.sources, filters.media_types, filters.tags, filters.since, filters.until)],
        sorted((name, repr(value)) for name, value in policy.items()),
    ]
    return _PREFIX + hashlib.sha256(to_json(parts)).hexdigest()


@dataclass
class _Flight:
    """An answer that is being written, with what was told of it so far."""

    told: list[Event] = field(default_factory=list[Event])
    more: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: int = 0
    failed: BaseException | None = None
    ended: bool = False
    task: "asyncio.Task[None] | None" = None

    def tell(self, event: Event) -> None:
        """Notes an event and wakes whoever listens."""
        self.told.append(event)
        self._wake()

    def end(self, failed: BaseException | None) -> None:
        """No more events come."""
        self.failed, self.ended = failed, True
        self._wake()

    def _wake(self) -> None:
        self.more.set()
        self.more = asyncio.Event()


class Memory:
    """Answers by key, and those in flight. Shared answers cost who asked first."""

    def __init__(self, cache: Cache, seconds: float) -> None:
        self._cache = cache
        self._seconds = seconds
        self._flights: dict[str, _Flight] = {}

    async def events(self, key: str, write: Events) -> AsyncGenerator[Event]:
        """The events of the answer under `key`: remembered, being written, or written now by `write`.

        The last event is `done`, or `error`. Raises what `write` raises.
        """
        told = 0
        while True:
            if (remembered := await self._remembered(key)) is not None:
                for event in remembered[told:]:
                    yield event
                return
            flight = self._flights.get(key)
            first = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
                flight.task = asyncio.create_task(self._write(key, flight, write))
            try:
                async with aclosing(self._listen(key, flight, told)) as events:
                    async for event in events:
                        told += 1
                        yield event if first or event.name != "done" else Event("done", _unpaid(event.data))
            except OverBudget:
                if first:
                    raise
                # Who had nothing left was another; somebody else has to ask.
            else:
                return

    async def _write(self, key: str, flight: _Flight, write: Events) -> None:
        try:
            async with aclosing(write()) as events:
                async for event in events:
                    if event.name == "done":  # before it is told: nobody may wait for anything after that
                        await self._keep(key, [*flight.told, event])
                    flight.tell(event)
        except asyncio.CancelledError as error:
            flight.end(error)
            raise
        except Exception as error:  # whoever listens gets it
            flight.end(error)
        else:
            flight.end(None)
        finally:
            self._forget(key, flight)

    async def _listen(self, key: str, flight: _Flight, place: int) -> AsyncGenerator[Event]:
        """What was told from `place` on, and what is told from here on; the last to leave ends the writing."""
        flight.listeners += 1
        try:
            while True:
                more = flight.more
                while place < len(flight.told):
                    yield flight.told[place]
                    place += 1
                if flight.ended:
                    break
                await more.wait()
        finally:
            flight.listeners -= 1
            if not flight.listeners and flight.task is not None and not flight.ended:
                self._forget(key, flight)
                flight.task.cancel()
        if flight.failed is not None:
            raise flight.failed

    def _forget(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _remembered(self, key: str) -> list[Event] | None:
        if not self._seconds:
            return None
        try:
            kept = await self._cache.get(key)
        except Unavailable:
            kept = None
        metrics.answer_looked_up(kept is not None)
        if kept is None:
            return None
        try:
            passages, collections, body = from_json(kept)
            body = _unpaid(body)
            seen = frozenset(UUID(each) for each in collections)
            return [Event("passages", passages, seen), *tell(body), Event("done", body)]
        except (ValueError, TypeError, KeyError, AttributeError):  # nobody here wrote it
            return None

    async def _keep(self, key: str, told: list[Event]) -> None:
        """Remembers an answer a model wrote to its end; others are made again as fast."""
        if not self._seconds or told[-1].data["mode"] != "generated":
            return
        try:
            kept = to_json([told[0].data, sorted(map(str, told[0].collections)), told[-1].data])
            await self._cache.set(key, kept, self._seconds)
        except Unavailable:
            return


def _unpaid(body: dict[str, Any]) -> dict[str, Any]:
    """The body for somebody for whom nothing was done."""
    free = {**body["usage"], "input_tokens": 0, "output_tokens": 0, "cost_usd": "0"}
    timings = dict.fromkeys(body["timings_ms"], 0.0)
    return {**body, "cached": True, "usage": free, "route": [], "timings_ms": timings}
