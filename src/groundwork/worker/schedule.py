"""Scheduled syncs: sources whose time has come are queued, by whichever worker looks first."""

import asyncio

import structlog

from groundwork.assembly import Platform

log = structlog.get_logger()

LOOK_SECONDS = 5.0


async def keep(platform: Platform) -> None:
    """Looks for due sources for ever."""
    while True:
        for name in await platform.sources.queue_due():
            log.info("scheduled sync queued", source=name)
        await asyncio.sleep(LOOK_SECONDS)
