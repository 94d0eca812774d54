"""A worker: takes jobs from the queue for as long as it runs, and finds those whose worker has died.

It keeps one connection as its lifeline, holding an advisory lock under a number of its own. Whatever ends the process
ends the lock, and any other worker then sees at once that the jobs of that number are orphans.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import structlog
from procrastinate import exceptions

from groundwork.assembly import Platform
from groundwork.errors import StoreUnavailable, Unavailable
from groundwork.store.jobs import BULK, INTERACTIVE, OWN
from groundwork.store.runner import Runner, runner
from groundwork.worker import chores, schedule, tasks

log = structlog.get_logger()

_RESCUE_SECONDS = 2.0
_SETTLE_SECONDS = 60.0
_AFTER_FAULT_SECONDS = 1.0
_LOST = (psycopg.Error, exceptions.ConnectorException, Unavailable, OSError)


async def work(platform: Platform) -> None:
    """Runs jobs until cancelled; a lost database is waited for. It has let go of every job when it ends."""
    while True:
        # A task of its own: a task group that fails leaves the task it ran in marked as cancelled.
        session = asyncio.create_task(_session(platform))
        try:
            await asyncio.wait([session])
        finally:
            session.cancel()
            await asyncio.wait([session])
        _explain(session)
        await asyncio.sleep(_AFTER_FAULT_SECONDS)


def _explain(session: "asyncio.Task[None]") -> None:
    """Logs why a session ended. Raises what is not a lost database."""
    try:
        session.result()
    except* _LOST as faults:
        log.warning("worker waits for the database", reason=str(faults.exceptions[0]))


@dataclass(frozen=True)
class Foreground:
    """A process that runs jobs of its own, on a queue no other process takes from while it lives."""

    platform: Platform
    alive: Runner

    @property
    def queue(self) -> str:
        """Where to queue those jobs."""
        return f"{OWN}{self.alive.number}"

    async def ensure_alive(self) -> None:
        """Raises StoreUnavailable when the lifeline is lost: the jobs are anybody's from then on."""
        try:
            await self.alive.ensure()
        except psycopg.OperationalError as error:
            raise StoreUnavailable(f"The database was lost while a job ran ({_cause(error)}).") from error

    async def work_off(self) -> None:
        """Runs what waits on that queue. Raises StoreUnavailable when the database is lost."""
        await self.platform.jobs.rescue_orphans()
        try:
            await _take_jobs(self.platform, self.alive.number, [self.queue], 1, wait=False)
        except (psycopg.OperationalError, exceptions.ConnectorException) as error:
            raise StoreUnavailable(f"The database was lost while a job ran ({_cause(error)}).") from error


@asynccontextmanager
async def foreground(platform: Platform) -> AsyncGenerator[Foreground]:
    """A foreground for as long as the block runs; what it leaves behind, other workers take."""
    try:
        async with runner(platform.database.url) as alive:
            yield Foreground(platform, alive)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"The database does not answer ({_cause(error)}).") from error


def _cause(error: Exception) -> str:
    """What the driver said, in one line."""
    words = str(error.__cause__ or error).strip().splitlines()
    return words[0].strip() if words else type(error).__name__


async def _session(platform: Platform) -> None:
    concurrency = platform.settings.worker.concurrency
    async with runner(platform.database.url) as alive, asyncio.TaskGroup() as group:
        group.create_task(alive.watch())
        group.create_task(_rescue(platform))
        group.create_task(_settle_lost(platform))
        group.create_task(schedule.keep(platform))
        group.create_task(chores.keep(platform, alive))
        group.create_task(_take_jobs(platform, alive.number, [INTERACTIVE], concurrency, wait=True))
        group.create_task(_take_jobs(platform, alive.number, [BULK], concurrency, wait=True))


async def _rescue(platform: Platform) -> None:
    while True:
        for job_id in await platform.jobs.rescue_orphans():
            log.warning("a worker died; its job is queued again", job=str(job_id))
        await asyncio.sleep(_RESCUE_SECONDS)


async def _settle_lost(platform: Platform) -> None:
    while True:
        await platform.budgets.settle_lost()
        await asyncio.sleep(_SETTLE_SECONDS)


async def _take_jobs(platform: Platform, number: int, queues: Sequence[str], concurrency: int, wait: bool) -> None:
    app = await platform.jobs.app()
    tasks.register(app)
    await app.run_worker_async(
        queues=list(queues),
        concurrency=concurrency,
        wait=wait,
        install_signal_handlers=False,
        shutdown_graceful_timeout=platform.settings.worker.shutdown_seconds,
        fetch_job_polling_interval=2.0,
        abort_job_polling_interval=1.0,
        additional_context={"platform": platform, "runner": number},
    )
