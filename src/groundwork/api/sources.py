"""`/api/v1/sources` and `POST /ingest`: add, list, look at, sync, remove."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from groundwork.access.scope import OPERATOR, Caller, readable
from groundwork.api.bodies import (
    CONFLICT,
    PROBLEMS,
    IngestRequest,
    JobBody,
    JobsBody,
    PlanBody,
    SourceBody,
    SourcePage,
    SourceRequest,
    Text,
)
from groundwork.api.state import AdminCaller, IngestCaller, PlatformDep, refuse_hidden, visible
from groundwork.assembly import Platform
from groundwork.ingest.registry import NewSource, body
from groundwork.ingest.sources.records import SourceRow

router = APIRouter(tags=["sources"], responses={**PROBLEMS, **CONFLICT})

Collection = Annotated[Text | None, Query(description="Its collection, when several have a source of that name.")]


@router.get("/api/v1/sources", response_model=SourcePage, summary="List sources")
async def list_sources(
    platform: PlatformDep,
    caller: IngestCaller,
    cursor: Annotated[Text | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Sources in the order they were added, a page at a time."""
    return await platform.sources.page(cursor, limit, await visible(platform, caller))


@router.post("/api/v1/sources", status_code=201, response_model=SourceBody, summary="Add a source")
async def add(request: SourceRequest, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Adds a source by its location: a path on the server, a web address, a sitemap, a git repository, an S3 prefix.

    Nothing is fetched until it is synced.
    """
    if request.collection in await readable(platform.database, OPERATOR):
        await refuse_hidden(platform, caller, request.collection, "collection")
    return await platform.sources.add(
        NewSource(request.name, request.location, request.collection, request.schedule, request.options)
    )


@router.get("/api/v1/sources/{name}", response_model=SourceBody, summary="Look at a source")
async def show(
    name: Text, platform: PlatformDep, caller: IngestCaller, collection: Collection = None
) -> dict[str, Any]:
    """One source, by name or id; by id when its name has a slash, as of one that `groundwork ingest PATH` made."""
    return body(await _seen(platform, caller, name, collection))


@router.post("/api/v1/sources/{name}/sync", status_code=202, response_model=JobBody, summary="Sync a source")
async def sync(
    name: Text, platform: PlatformDep, caller: IngestCaller, collection: Collection = None
) -> dict[str, Any]:
    """Queues a sync; the job. One that waits already is the same one."""
    return await platform.sources.queue_sync(await _seen(platform, caller, name, collection))


@router.get("/api/v1/sources/{name}/plan", response_model=PlanBody, summary="What a sync would do")
async def plan(
    name: Text, platform: PlatformDep, caller: IngestCaller, collection: Collection = None
) -> dict[str, Any]:
    """New, changed and removed documents, found by reading the source and touching nothing."""
    source = await _seen(platform, caller, name, collection)
    return await platform.plan_sync(source.name, source.collection)


@router.delete("/api/v1/sources/{name}", response_model=SourceBody, summary="Remove a source")
async def remove(
    name: Text, platform: PlatformDep, caller: AdminCaller, collection: Collection = None
) -> dict[str, Any]:
    """Forgets a source and removes its documents; answers what it was."""
    source = await _seen(platform, caller, name, collection)
    removed = await platform.remove_source(source.name, source.collection)
    await platform.access.record(caller.deed("source_removed", removed["name"], documents=removed["documents"]))
    return removed


@router.post("/ingest", status_code=202, response_model=JobsBody, summary="Sync all sources, or those named")
async def ingest(platform: PlatformDep, caller: AdminCaller, request: IngestRequest | None = None) -> dict[str, Any]:
    """Queues a sync of every source, or of those named; the jobs."""
    known = await visible(platform, caller)
    rows = await platform.sources.all() if request is None or request.sources is None else []
    rows += [
        await _seen(platform, caller, name, None) for name in (request.sources if request and request.sources else [])
    ]
    return {"items": [await platform.sources.queue_sync(row) for row in rows if row.collection in known]}


async def _seen(platform: Platform, caller: Caller, name: str, collection: str | None) -> SourceRow:
    """The source, when the caller may know of its collection. Raises NotFound."""
    return await platform.sources.find(name, collection, await visible(platform, caller))
