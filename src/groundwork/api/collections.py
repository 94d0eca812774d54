"""`/api/v1/collections`: list, look at, make, export, remove."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from groundwork.access.people.users import Role
from groundwork.access.scope import Readers, readers, set_readers
from groundwork.api.bodies import CONFLICT, PROBLEMS, CollectionBody, CollectionPage, CollectionRequest, Text
from groundwork.api.state import ADMIN, AdminCaller, PlatformDep, SearchCaller


class ReadersBody(BaseModel):
    """Who may read a collection: everyone, or those named; with neither, nobody but administrators."""

    model_config = ConfigDict(extra="forbid")

    everyone: bool
    roles: list[Role] = []
    users: list[Text] = []


class CollectionChange(BaseModel):
    """What is to be different."""

    model_config = ConfigDict(extra="forbid")

    private: bool = Field(description="Whether its passages go to language models of tier 0 only.")


_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}

router = APIRouter(prefix="/api/v1/collections", tags=["collections"], responses={**PROBLEMS, **CONFLICT})


@router.get("", response_model=CollectionPage, summary="List collections")
async def list_collections(
    platform: PlatformDep,
    caller: SearchCaller,
    cursor: Annotated[Text | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Collections by name, a page at a time."""
    return await platform.catalog.seen_by(caller).collections(cursor, limit)


@router.post("", status_code=201, response_model=CollectionBody, summary="Make a collection", dependencies=[ADMIN])
async def create(body: CollectionRequest, platform: PlatformDep) -> dict[str, Any]:
    """A new, empty collection."""
    return await platform.create_collection(body.name, body.description, body.private)


@router.get("/{name}", response_model=CollectionBody, summary="Look at a collection")
async def show(name: Text, platform: PlatformDep, caller: SearchCaller) -> dict[str, Any]:
    """One collection."""
    return await platform.catalog.seen_by(caller).collection(name)


@router.patch("/{name}", response_model=CollectionBody, summary="Change a collection")
async def change(name: Text, body: CollectionChange, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Says whether its passages go to private language models only; holds from the next question on."""
    return await platform.set_private(name, body.private, caller)


@router.get("/{name}/export", response_class=FileResponse, responses=_FILE, summary="Export a collection as one file")
async def export(name: Text, platform: PlatformDep, caller: SearchCaller) -> FileResponse:
    """The collection with its texts, spans, labels and vectors; `groundwork documents import` takes it in elsewhere.

    The file is written whole before the first byte of it is sent, so that an answer of status 200 is a whole file.
    """
    await platform.catalog.seen_by(caller).collection(name)  # what the caller may not see it cannot take along
    folder = _new_folder(platform.settings.data_dir / "scratch")
    try:
        file = folder / "collection.zip"
        await platform.export_collection(name, file)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    named = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}.zip"}
    clean_up = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(file, media_type="application/zip", headers=named, background=clean_up)


@router.get("/{name}/readers", response_model=ReadersBody, summary="Who may read a collection", dependencies=[ADMIN])
async def show_readers(name: Text, platform: PlatformDep) -> dict[str, object]:
    """Everyone, or the roles and users named. Administrators may read everything."""
    return (await readers(platform.database, name)).body()


@router.put("/{name}/readers", response_model=ReadersBody, summary="Say who may read a collection")
async def change_readers(
    name: Text, body: ReadersBody, platform: PlatformDep, caller: AdminCaller
) -> dict[str, object]:
    """Everyone, or the roles and users named, or nobody; holds from the next search on."""
    chosen = Readers(body.everyone, tuple(body.roles), tuple(body.users))
    changed = (await set_readers(platform.database, name, chosen)).body()
    await platform.access.record(caller.deed("readers_changed", name, **changed))
    return changed


@router.delete("/{name}", response_model=CollectionBody, summary="Remove a collection")
async def delete(name: Text, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Removes a collection with all its documents; answers what it was."""
    await platform.catalog.seen_by(caller).collection(name)  # what the caller may not see it cannot remove either
    deleted = await platform.delete_collection(name)
    await platform.access.record(caller.deed("collection_removed", name, documents=deleted["documents"]))
    return deleted


def _new_folder(scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=scratch))
