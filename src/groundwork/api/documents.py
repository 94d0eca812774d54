"""`/api/v1/documents`: upload, list, look at, label, read the text of, remove."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile

from groundwork.api.bodies import (
    CONFLICT,
    PROBLEMS,
    DeletedBody,
    DocumentBody,
    DocumentPage,
    RelabelRequest,
    Text,
    TextBody,
    UploadedBody,
    VersionsBody,
)
from groundwork.api.state import IngestCaller, PlatformDep, SearchCaller
from groundwork.ingest.upkeep.labels import Relabel

router = APIRouter(prefix="/api/v1/documents", tags=["documents"], responses={**PROBLEMS, **CONFLICT})


@router.post("", status_code=202, response_model=UploadedBody, summary="Upload a document")
async def upload(
    request: Request,
    response: Response,
    platform: PlatformDep,
    caller: IngestCaller,
    file: Annotated[UploadFile, File(description="The document.")],
    collection: Annotated[Text, Form(description="The collection it goes to; made when there is none.")] = "default",
) -> dict[str, Any]:
    """Keeps the document and answers at once, `pending`; look at it again to see it become `ready` or `failed`.

    A document of the same file name in the same collection is replaced, and stays readable until it is.
    """
    async with request.app.state.uploads:
        document = await platform.accept_upload(collection, file.filename or "", await file.read(), caller)
    response.headers["Location"] = f"/api/v1/documents/{document['id']}"
    return document


@router.get("", response_model=DocumentPage, summary="List documents")
async def list_documents(
    platform: PlatformDep,
    caller: SearchCaller,
    collection: Annotated[Text | None, Query(description="Only of this collection.")] = None,
    status: Annotated[Literal["pending", "ready", "failed"] | None, Query(description="Only in this state.")] = None,
    cursor: Annotated[Text | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    tag: Annotated[list[Text] | None, Query(description="Only those that carry one of these tags.")] = None,
) -> dict[str, Any]:
    """Documents in the order they came, a page at a time."""
    return await platform.catalog.seen_by(caller).documents(collection, status, cursor, limit, tag)


@router.get("/{document_id}", response_model=DocumentBody, summary="Look at a document")
async def show(document_id: Text, platform: PlatformDep, caller: SearchCaller) -> dict[str, Any]:
    """One document."""
    return await platform.catalog.seen_by(caller).document(document_id)


@router.patch("/{document_id}", response_model=DocumentBody, summary="Change tags and metadata")
async def relabel(
    document_id: Text, change: RelabelRequest, platform: PlatformDep, caller: IngestCaller
) -> dict[str, Any]:
    """Adds and takes away tags, sets and takes away metadata; the document. Searches by tag see it at once."""
    await platform.catalog.seen_by(caller).document(document_id)  # what the caller may not see it cannot change either
    return await platform.relabel(document_id, Relabel(change.add_tags, change.remove_tags, change.metadata))


@router.get("/{document_id}/versions", response_model=VersionsBody, summary="List the versions of a document")
async def versions(document_id: Text, platform: PlatformDep, caller: SearchCaller) -> dict[str, Any]:
    """The texts that citations may name, newest first."""
    return await platform.catalog.seen_by(caller).versions(document_id)


@router.get("/{document_id}/text", response_model=TextBody, summary="Read the text a citation names")
async def text(
    document_id: Text,
    platform: PlatformDep,
    caller: SearchCaller,
    version: Annotated[Text | None, Query(description="`sha256:...`; left out, the live version.")] = None,
    start: Annotated[int | None, Query(ge=0, description="First character.")] = None,
    end: Annotated[int | None, Query(ge=0, description="Character after the last.")] = None,
) -> dict[str, Any]:
    """The text of a version, whole or a span of it. Offsets count Unicode code points, not bytes or UTF-16 units."""
    return await platform.catalog.seen_by(caller).text(document_id, version, start, end)


@router.delete("/{document_id}", response_model=DeletedBody, summary="Remove a document")
async def delete(document_id: Text, platform: PlatformDep, caller: IngestCaller) -> dict[str, Any]:
    """Removes a document and all its versions from the record and every index; what it was.

    `proof` is what each of them, asked afterwards, still holds of it.
    """
    await platform.catalog.seen_by(caller).document(document_id)  # what the caller may not see it cannot remove either
    deleted = await platform.delete_document(document_id)
    await platform.access.record(caller.deed("document_removed", deleted["uri"], collection=deleted["collection"]))
    return deleted
