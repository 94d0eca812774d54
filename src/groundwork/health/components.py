"""Every component of a running service with its state: looked at one by one, each within a deadline, none for money."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from groundwork.errors import GroundworkError
from groundwork.health.checkup import last_result
from groundwork.lexical.follow import Follower
from groundwork.store.database import Database
from groundwork.store.jobs import Jobs

Component = dict[str, Any]
"""`status` (`ok`, `degraded`, `failed`, `unknown`), `latency_ms`, and what else there is to say."""

DEADLINE_SECONDS = 2.0
DISK_LOW_SHARE = 0.15
"""Below this share of free space the disk is low."""
WAITED_TOO_LONG_SECONDS = 600.0
_RANK = {"ok": 0, "unknown": 0, "degraded": 1, "failed": 2}


async def report(database: Database, lexical: Follower, jobs: Jobs, data_dir: Path, reserve_mib: int) -> dict[str, Any]:
    """All components, and the worst of their states as the whole's."""
    looks: dict[str, Callable[[], Awaitable[Component]]] = {
        "database": lambda: _database(database),
        "disk": lambda: asyncio.to_thread(disk, data_dir, reserve_mib),
        "lexical_index": lambda: _lexical(lexical),
        "jobs": lambda: _jobs(jobs),
        "check": lambda: asyncio.to_thread(last_result, data_dir / "metrics"),
    }
    found = await asyncio.gather(*(_timed(look) for look in looks.values()))
    components = dict(zip(looks, found, strict=True))
    worst = max(components.values(), key=lambda each: _RANK[each["status"]])
    return {"status": worst["status"] if _RANK[worst["status"]] else "ok", "components": components}


def disk(folder: Path, reserve_mib: int) -> Component:
    """How much room the data directory has left."""
    usage = shutil.disk_usage(folder)
    free, share = usage.free >> 20, usage.free / usage.total
    component: Component = {"status": "ok", "free_mib": free, "free_share": round(share, 3)}
    if free < reserve_mib:
        message = f"The disk is full: {free} MiB are free, and nothing is taken in below {reserve_mib} MiB. Make room."
        component |= {"status": "failed", "message": message}
    elif share < DISK_LOW_SHARE:
        component |= {"status": "degraded", "message": f"Only {share:.0%} of the disk is free. Make room or add some."}
    return component


async def _timed(look: Callable[[], Awaitable[Component]]) -> Component:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            component = await look()
    except TimeoutError:
        component = {"status": "failed", "message": f"No answer within {DEADLINE_SECONDS:.0f} s."}
    except GroundworkError as error:
        component = {"status": "failed", "message": error.message}
    except OSError as error:
        component = {"status": "failed", "message": f"It cannot be looked at: {error.strerror or error}."}
    return {**component, "latency_ms": round((time.perf_counter() - began) * 1000, 2)}


async def _database(database: Database) -> Component:
    await database.ping()
    return {"status": "ok"}


async def _lexical(follower: Follower) -> Component:
    lag = await follower.lag()
    return {"status": "ok" if lag < 1_000 else "degraded", "lag_changes": lag, "passages": follower.index.count()}


async def _jobs(jobs: Jobs) -> Component:
    counts, oldest = await jobs.counts(), await jobs.oldest_waiting_seconds()
    component: Component = {"status": "ok", "counts": counts, "oldest_waiting_seconds": round(oldest, 1)}
    if oldest > WAITED_TOO_LONG_SECONDS:
        message = f"A job has waited for {oldest / 60:.0f} minutes: is a worker running? `groundwork jobs list`."
        component |= {"status": "degraded", "message": message}
    return component
