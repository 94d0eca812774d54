"""Who runs jobs: a number, and the lifeline that shows for as long as it holds that its process lives.

The lifeline is a connection that holds an advisory lock under the number. Whatever ends the process ends the lock.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from psycopg import AsyncConnection

LOCK_CLASS = 0x6772756E
"""First key of the advisory lock; the second is the runner's number."""

_WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class Runner:
    """A process that runs jobs."""

    number: int
    lifeline: AsyncConnection

    async def ensure(self) -> None:
        """Raises OperationalError once the lifeline is lost."""
        await self.lifeline.execute("SELECT 1")

    async def takes_on(self, duty: int) -> bool:
        """Whether a duty that one runner at a time has is this one's, from then on for as long as it lives."""
        cursor = await self.lifeline.execute("SELECT pg_try_advisory_lock(%s)", (duty,))
        row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def watch(self) -> None:
        """Goes on for ever; raises OperationalError once the lifeline is lost, and others may take the jobs."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            await self.ensure()


@asynccontextmanager
async def runner(url: str) -> AsyncGenerator[Runner]:
    """A runner of the database at `url` for as long as the block runs. Raises OperationalError."""
    number = random.randrange(1, 2**31)
    async with await AsyncConnection.connect(url, autocommit=True) as lifeline:
        await lifeline.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, number))
        yield Runner(number, lifeline)
