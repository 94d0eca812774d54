"""How a command gets its Platform: opened for one call, closed after it, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from groundwork.cli.output import note
from groundwork.errors import StoreUnavailable

if TYPE_CHECKING:
    from groundwork.assembly import Platform
    from groundwork.settings import Settings

T = TypeVar("T")


def settings() -> "Settings":
    """The settings, with logging set up by them. Raises Invalid."""
    from groundwork.settings import load_settings  # start-up time
    from groundwork.telemetry import logs  # start-up time

    loaded = load_settings()
    logs.configure(loaded.log_format, loaded.log_level)
    return loaded


def with_platform(work: "Callable[[Platform], Awaitable[T]]", announce: bool = False) -> T:
    """What `work` returns, given an open Platform. `announce` names the data directory first."""
    from groundwork.assembly import open_platform  # start-up time

    loaded = settings()
    if announce:
        note(f"Data directory: {loaded.data_dir}")

    async def run() -> T:
        async with open_platform(loaded) as platform:
            return await work(platform)

    try:
        return asyncio.run(run())
    except StoreUnavailable as error:
        raise _with_disk(error, loaded) from error


def _with_disk(error: StoreUnavailable, loaded: "Settings") -> StoreUnavailable:
    """The same, with the likeliest cause when there is no room left."""
    from groundwork.health.components import disk  # start-up time

    seen = disk(loaded.data_dir, loaded.ingest.reserve_disk_mb) if loaded.data_dir.exists() else {"status": "unknown"}
    return StoreUnavailable(f"{error.message} {seen['message']}") if seen["status"] == "failed" else error
