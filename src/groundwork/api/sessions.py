"""`/api/v1/sessions`: a caller's own conversations, listed, shown, renamed, exported, removed."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from groundwork.api.bodies import PROBLEMS, Text
from groundwork.api.state import AskCaller, PlatformDep
from groundwork.sessions.conversations import LONGEST_TITLE
from groundwork.sessions.markdown import as_markdown

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"], responses={**PROBLEMS})

Limit = Annotated[int, Query(ge=1, le=500)]


class SessionBody(BaseModel):
    """A conversation. `updated_at`: when it was asked something last, or begun."""

    id: str
    title: str | None = Field(description="Null while it would tell what the caller may not read any more.")
    turn_count: int
    created_at: str
    updated_at: str


class SessionPage(BaseModel):
    """A page of conversations; `next_cursor` asks for the next, null on the last."""

    items: list[SessionBody]
    next_cursor: str | None


class TurnBody(BaseModel):
    """A question and its answer."""

    number: int
    at: str
    withheld: Literal[False]
    question: str
    answer: dict[str, Any] = Field(description="The body as it was given: answer, mode, citations, usage.")


class WithheldBody(BaseModel):
    """A turn made from a collection that the caller may not read any more."""

    number: int
    at: str
    withheld: Literal[True]


class WholeSessionBody(SessionBody):
    """A conversation with its turns, the first first."""

    turns: list[TurnBody | WithheldBody]
    next_cursor: int | None = Field(description="Asks for the turns after these; null on the last page.")


class ExportBody(SessionBody):
    """A conversation with all its turns."""

    turns: list[TurnBody | WithheldBody]


class SessionChange(BaseModel):
    """What is to be different."""

    model_config = ConfigDict(extra="forbid")

    title: Text = Field(min_length=1, max_length=LONGEST_TITLE)


@router.get("", response_model=SessionPage, summary="List your conversations")
async def list_sessions(
    platform: PlatformDep,
    caller: AskCaller,
    cursor: Annotated[Text | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """The caller's own conversations, the one asked last first, a page at a time."""
    return await platform.sessions.page(caller, cursor, limit)


@router.get("/{session_id}", response_model=WholeSessionBody, summary="Look at a conversation")
async def show(
    session_id: Text,
    platform: PlatformDep,
    caller: AskCaller,
    cursor: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next_cursor` of the page before.")] = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """One of the caller's conversations with its turns. What came from collections they may not read is withheld."""
    return await platform.sessions.show(caller, session_id, cursor, limit)


@router.patch("/{session_id}", response_model=SessionBody, summary="Rename a conversation")
async def rename(session_id: Text, body: SessionChange, platform: PlatformDep, caller: AskCaller) -> dict[str, Any]:
    """Gives one of the caller's conversations another title."""
    return await platform.sessions.rename(caller, session_id, body.title)


@router.delete("/{session_id}", response_model=SessionBody, summary="Remove a conversation")
async def delete(session_id: Text, platform: PlatformDep, caller: AskCaller) -> dict[str, Any]:
    """Removes one of the caller's conversations with its turns; answers what it was."""
    return await platform.sessions.delete(caller, session_id)


_FILE: dict[int | str, dict[str, Any]] = {
    200: {"model": ExportBody, "content": {"text/markdown": {"schema": {"type": "string"}}}}
}


@router.get("/{session_id}/export", response_class=Response, responses=_FILE, summary="Download a conversation")
async def export(
    session_id: Text,
    platform: PlatformDep,
    caller: AskCaller,
    form: Annotated[Literal["json", "markdown"], Query(alias="format")] = "json",
) -> Response:
    """All of a conversation as one file, with what its answers cite."""
    session = await platform.sessions.export(caller, session_id)
    content, kind, ending = to_json(session, indent=2), "application/json", "json"
    if form == "markdown":
        content, kind, ending = as_markdown(session).encode(), "text/markdown; charset=utf-8", "md"
    named = {"Content-Disposition": f'attachment; filename="conversation-{session["id"]}.{ending}"'}
    return Response(content, media_type=kind, headers=named)
