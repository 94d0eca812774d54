"""What an operator decided over a breaker's head, in PostgreSQL: it holds in every process within about a second."""

import asyncio
import time
from typing import Any, Literal

import structlog

from groundwork.llms import records
from groundwork.store.database import Database, Row

log = structlog.get_logger()

Position = Literal["open", "closed", "auto"]

_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 0.25
_AFTER_FAULT_SECONDS = 5.0


class Switches:
    """The switches of all providers, looked at once a second at most.

    A request waits a quarter of a second for a look, not longer; after one that failed none waits for a few seconds.
    Until the database answers, what was seen last holds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, Row] = {}
        self._looked = float("-inf")
        self._impatient_until = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def position(self, provider: str) -> Position:
        """Where the switch stands, as of a second ago; never raises."""
        if time.monotonic() - self._looked > _FRESH_SECONDS:
            await self._refresh()
        return self._seen[provider][1] if provider in self._seen else "auto"

    async def all(self) -> dict[str, dict[str, Any]]:
        """Position, since when and by whom, of each that is not `auto`. Raises StoreUnavailable."""
        await self._look()
        return {
            provider: {"position": position, "since": at.isoformat(), "by": actor}
            for provider, position, at, actor in self._seen.values()
        }

    async def set(self, provider: str, position: Position, actor: str) -> None:
        """Holds a breaker open or closed, or lets it decide for itself again. Raises StoreUnavailable."""
        async with self._database.transaction() as connection:
            if position == "auto":
                await records.clear_switch(connection, provider)
            else:
                await records.set_switch(connection, provider, position, actor)
        self._looked = float("-inf")

    async def close(self) -> None:
        """Waits for no look any more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _refresh(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._try_to_look())
        if time.monotonic() < self._impatient_until:
            return
        done, _ = await asyncio.wait({self._looking}, timeout=_PATIENCE_SECONDS)
        if not done:
            self._impatient_until = time.monotonic() + _AFTER_FAULT_SECONDS

    async def _try_to_look(self) -> None:
        try:
            await self._look()
        except Exception as error:  # whatever it is: switches must not take answers down
            self._looked = time.monotonic()
            log.warning("the switches of breakers could not be read; they stay as they were", reason=str(error))

    async def _look(self) -> None:
        rows = await records.switches(self._database)
        self._seen = {row[0]: row for row in rows}
        self._looked = time.monotonic()
        self._impatient_until = float("-inf")
