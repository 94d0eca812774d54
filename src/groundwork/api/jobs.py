"""`/api/v1/jobs`: list, look at, follow, retry, cancel."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from groundwork.access.scope import Caller
from groundwork.answer.events import Event
from groundwork.api.bodies import CONFLICT, PROBLEMS, JobBody, JobPage
from groundwork.api.events import EVENT_STREAM, event_stream
from groundwork.api.state import IngestCaller, PlatformDep, visible
from groundwork.assembly import Platform

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], responses={**PROBLEMS, **CONFLICT})

Status = Literal["waiting", "running", "retrying", "stalled", "cancelling", "succeeded", "failed", "cancelled"]
_ENDED = {"succeeded", "failed", "cancelled"}
_LOOK_SECONDS = 0.5


@router.get("", response_model=JobPage, summary="List jobs")
async def list_jobs(
    platform: PlatformDep,
    caller: IngestCaller,
    status: Annotated[Status | None, Query(description="Only in this state.")] = None,
    kind: Annotated[str | None, Query(description="Only of this kind: sync, upload, space_build, space_drop.")] = None,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Jobs, newest first, a page at a time."""
    jobs = await platform.jobs.page(status, kind, cursor, limit + 1, await _within(platform, caller))
    return {"items": jobs[:limit], "next_cursor": jobs[limit - 1]["id"] if len(jobs) > limit else None}


@router.get("/{job_id}", response_model=JobBody, summary="Look at a job")
async def show(job_id: UUID, platform: PlatformDep, caller: IngestCaller) -> dict[str, Any]:
    """One job: its state, progress, error, attempts and times."""
    return await _seen(platform, caller, job_id)


@router.get("/{job_id}/events", summary="Follow a job", response_class=StreamingResponse, responses=EVENT_STREAM)
async def events(job_id: UUID, platform: PlatformDep, caller: IngestCaller) -> StreamingResponse:
    """Server-sent events: `progress` whenever the job has changed, `done` with the whole job at its end."""
    await _seen(platform, caller, job_id)
    return event_stream(_follow(platform, job_id))


@router.post("/{job_id}/retry", response_model=JobBody, summary="Retry a job")
async def retry(job_id: UUID, platform: PlatformDep, caller: IngestCaller) -> dict[str, Any]:
    """Queues a failed or cancelled job again, or one that waits for its next attempt at once."""
    await _seen(platform, caller, job_id)
    return await platform.jobs.retry(job_id)


@router.post("/{job_id}/cancel", response_model=JobBody, summary="Cancel a job")
async def cancel(job_id: UUID, platform: PlatformDep, caller: IngestCaller) -> dict[str, Any]:
    """Cancels a job that waits; one that runs stops within moments, keeping what it has published."""
    await _seen(platform, caller, job_id)
    return await platform.jobs.cancel(job_id)


async def _seen(platform: Platform, caller: Caller, job_id: UUID) -> dict[str, Any]:
    """The job, when the caller may know of its collection. Raises NotFound."""
    return await platform.jobs.show(job_id, await _within(platform, caller))


async def _within(platform: Platform, caller: Caller) -> set[str]:
    """Collections whose jobs the caller may know of; "" for jobs of the whole installation."""
    known = await visible(platform, caller)
    return {*known, ""} if caller.reads_everything else known


async def _follow(platform: Platform, job_id: UUID) -> AsyncIterator[Event]:
    last: dict[str, Any] = {}
    while True:
        job = await platform.jobs.show(job_id)
        seen = {key: job[key] for key in ("status", "progress", "attempts", "error")}
        if job["status"] in _ENDED:
            yield Event("done", job)
            return
        if seen != last:
            yield Event("progress", job)
            last = seen
        await asyncio.sleep(_LOOK_SECONDS)
