"""Maintenance mode: while it is on, only health, metrics and administration answer. It outlives a restart."""

import time
from dataclasses import dataclass
from typing import Any

from groundwork.access import records
from groundwork.access.audit.log import note
from groundwork.access.scope import Caller
from groundwork.store.database import Database

_FRESH_SECONDS = 1.0
_REASON = "Planned work."


@dataclass
class Maintenance:
    """Turns it on and off, and tells whether it is."""

    database: Database
    _seen: dict[str, Any] | None = None
    _looked: float = float("-inf")

    async def switch(self, on: bool, reason: str, by: Caller) -> dict[str, Any]:
        """Turns it on or off; the state."""
        async with self.database.transaction() as connection:
            if await records.set_maintenance(connection, on, reason or _REASON, by.name):
                await note(connection, by.deed("maintenance_on" if on else "maintenance_off", reason or _REASON))
        self._looked = float("-inf")
        return await self.state()

    async def state(self) -> dict[str, Any]:
        """Whether it is on, since when, why and by whom."""
        row = await records.maintenance(self.database)
        self._looked = time.monotonic()
        self._seen = {
            "on": row is not None,
            "since": row[0].isoformat() if row else None,
            "reason": row[1] if row else None,
            "by": row[2] if row else None,
        }
        return self._seen

    async def is_on(self) -> str | None:
        """The reason while it is on, as of a second ago at most."""
        if self._seen is None or time.monotonic() - self._looked > _FRESH_SECONDS:
            await self.state()
        return (self._seen or {}).get("reason")
