"""A job run by the command that queued it: shown while it runs, cancelled with the command, and durable all the same.

Should the command be killed, any other worker finds the job orphaned and takes it over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from groundwork.cli.output import note
from groundwork.cli.progress import Advance
from groundwork.errors import (
    Busy,
    Conflict,
    Corrupt,
    GroundworkError,
    Invalid,
    NotFound,
    OverBudget,
    Refused,
    StoreUnavailable,
    Unavailable,
)

if TYPE_CHECKING:
    from groundwork.assembly import Platform
    from groundwork.worker.run import Foreground

_ERRORS = {each.kind: each for each in (Busy, Conflict, Corrupt, Invalid, NotFound, OverBudget, Refused, Unavailable)}
_ENDED = {"succeeded", "failed", "cancelled"}
_LOOK_SECONDS = 0.2
_CHANCES, _AFTER_LOSS_SECONDS = 10, 3.0


async def run_here(
    platform: "Platform", order: Callable[[str], Awaitable[dict[str, Any]]], advance: Advance, name: str
) -> dict[str, Any]:
    """Runs here the job that `order` puts into the queue it is given; what it did. Raises the job's error."""
    from groundwork.worker.run import foreground  # start-up time

    for chance in range(_CHANCES):
        try:
            async with foreground(platform) as here:
                job = await order(here.queue)
                return await _until_ended(platform, UUID(job["id"]), here, advance, name)
        except StoreUnavailable as error:  # the job is there still: it is taken up again, by us or by another worker
            if chance == _CHANCES - 1:
                raise
            note(f"{error.message} Trying again; Ctrl-C gives up.")
            await asyncio.sleep(_AFTER_LOSS_SECONDS)
    raise AssertionError("unreachable")


async def _until_ended(
    platform: "Platform", job_id: UUID, here: "Foreground", advance: Advance, name: str
) -> dict[str, Any]:
    shown = asyncio.create_task(_show(platform, job_id, advance, name))
    try:
        await here.work_off()
        while (job := await platform.jobs.show(job_id))["status"] not in _ENDED:
            await asyncio.sleep(_LOOK_SECONDS)
            await here.ensure_alive()
            await here.work_off()
    except asyncio.CancelledError:
        await asyncio.shield(_cancel(platform, job_id))
        raise
    finally:
        shown.cancel()
    if job["status"] != "succeeded":
        raise _ERRORS.get(job["error_kind"], GroundworkError)(job["error"] or f"The job was {job['status']}.")
    return job["result"]


async def _show(platform: "Platform", job_id: UUID, advance: Advance, name: str) -> None:
    waited = False
    failed_attempts = 0
    while True:
        job = await platform.jobs.show(job_id)
        progress = job["progress"]
        if job["status"] == "retrying" and job["attempts"] > failed_attempts:
            failed_attempts = job["attempts"]
            note(f"{job['error'] or 'The job did not end well.'} Trying again; Ctrl-C gives up.")
        if job["status"] == "waiting" and job["waiting_seconds"] > 1 and not waited:
            note(f"Waiting for another job on {name} to end.")
            waited = True
        if progress:
            chunks = f" ({progress['chunks']:,} passages)" if "chunks" in progress else ""
            advance(f"{name}: {progress['step']}{chunks}", progress["done"], progress["total"])
        await asyncio.sleep(_LOOK_SECONDS)


async def _cancel(platform: "Platform", job_id: UUID) -> None:
    with suppress(Conflict):
        await platform.jobs.cancel(job_id)
