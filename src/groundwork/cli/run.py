"""How a command gets its Platform: opened for one call, closed after it, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from groundwork.cli.output import note
from groundwork.errors import StoreUnavailable

if TYPE_CHECKING:
    from groundwork.access.scope import Caller, Scope
    from groundwork.assembly import Platform
    from groundwork.settings import Settings

T = TypeVar("T")
_acting_as: ContextVar[str | None] = ContextVar("acting_as", default=None)


def act_as(name: str | None) -> None:
    """Whose rights the commands of this process have; None: the operator's."""
    _acting_as.set(name)


async def caller(platform: "Platform") -> "Caller":
    """Who runs this command. Raises NotFound, Refused for a `--as` that cannot be."""
    return await platform.access.gate.local(_acting_as.get())


def settings() -> "Settings":
    """The settings, with logging set up by them. Raises Invalid."""
    from groundwork.settings import load_settings  # start-up time
    from groundwork.telemetry import logs  # start-up time

    loaded = load_settings()
    logs.configure(loaded.log_format, loaded.log_level)
    return loaded


async def audited(platform: "Platform", action: str, subject: str, **details: Any) -> None:
    """Puts what this command did into the audit log."""
    await platform.access.record((await caller(platform)).deed(action, subject, **details))


def with_platform(work: "Callable[[Platform], Awaitable[T]]", announce: bool = False, scope: "Scope" = "admin") -> T:
    """What `work` returns, given an open Platform. `announce` names the data directory first.

    Raises Refused unless whoever runs the command has `scope`; the operator has all.
    """
    from groundwork.access.gate import demand  # start-up time
    from groundwork.assembly import open_platform  # start-up time

    loaded = settings()
    if announce:
        note(f"Data directory: {loaded.data_dir}")

    async def run() -> T:
        async with open_platform(loaded) as platform:
            demand(await caller(platform), scope)
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
