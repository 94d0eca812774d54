"""`/health`, `/health/live`, `/health/ready`: whether this process runs, and whether it can serve."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from groundwork import __version__
from groundwork.api.state import ANYBODY
from groundwork.errors import GroundworkError

router = APIRouter(tags=["health"], dependencies=[ANYBODY])

DEADLINE_SECONDS = 2.0
_FAILED: dict[int | str, dict[str, Any]] = {
    503: {"description": "It cannot; the body says why.", "content": {"application/json": {}}}
}


@router.get("/health", summary="Basic status")
@router.get("/health/live", summary="The process runs")
async def live() -> dict[str, str]:
    """Looks at nothing outside the process."""
    return {"status": "ok", "version": __version__}


@router.get("/health/ready", responses=_FAILED, summary="The process can serve")
async def ready(request: Request, response: Response) -> dict[str, Any]:
    """200 when the database answers, the model is loaded and the lexical index has caught up; else 503 and why."""
    reason = await _not_ready(request)
    if reason is None:
        return {"status": "ok", "version": __version__}
    response.status_code = 503
    return {"status": "unavailable", "version": __version__, "reason": reason}


@router.get("/health/detailed", responses=_FAILED, summary="Every component")
async def detailed(request: Request, response: Response) -> dict[str, Any]:
    """The state and latency of every component, no secrets; 503 when one has failed."""
    body = await request.app.state.platform.health()
    response.status_code = 503 if body["status"] == "failed" else 200
    return {**body, "version": __version__}


async def _not_ready(request: Request) -> str | None:
    if not request.app.state.ready.is_set():
        return "Starting: the model and the lexical index are not loaded yet."
    ping: asyncio.Task[None] = asyncio.create_task(request.app.state.platform.database.ping())
    done, _ = await asyncio.wait({ping}, timeout=DEADLINE_SECONDS)
    if not done:
        ping.cancel()  # not waited for: a database that hangs makes its cancelling hang too
        return f"The database did not answer within {DEADLINE_SECONDS:.0f} s."
    error = ping.exception()
    return error.message if isinstance(error, GroundworkError) else repr(error) if error else None
