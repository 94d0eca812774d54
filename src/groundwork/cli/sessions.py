"""`groundwork sessions`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson, Limit, Yes, confirm
from groundwork.cli.output import counted, put_json, say, table
from groundwork.cli.run import caller, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(
    help="List, show, rename, export and remove your own conversations.", no_args_is_help=True, rich_markup_mode=None
)

Id = Annotated[str, typer.Argument(help="The conversation's id.", show_default=False)]
_WITHHELD = "(withheld)"


class ExportFormat(StrEnum):
    """How a conversation is written."""

    JSON = "json"
    MARKDOWN = "markdown"


@app.command("list")
def list_sessions(
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List your conversations, the one asked last first."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.sessions.page(await caller(platform), cursor, limit)

    page = with_platform(work, scope="ask")
    if as_json:
        put_json(page)
        return
    keys = ("id", "updated_at", "turn_count", "title")
    table(
        ("id", "asked last", "questions", "title"),
        [[item[key] if item[key] is not None else _WITHHELD for key in keys] for item in page["items"]],
    )
    if page["next_cursor"]:
        say(f"More: groundwork sessions list --cursor {page['next_cursor']}")


@app.command()
def show(
    session_id: Id,
    cursor: Annotated[int, typer.Option(min=0, help="`next_cursor` of the page before.")] = 0,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Show a conversation: what was asked, and what was answered."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.sessions.show(await caller(platform), session_id, cursor, limit)

    body = with_platform(work, scope="ask")
    if as_json:
        put_json(body)
        return
    say(body["title"] or _WITHHELD)
    for turn in body["turns"]:
        say()
        _tell(turn)
    if body["next_cursor"]:
        say(f"\nMore: groundwork sessions show {session_id} --cursor {body['next_cursor']}")


@app.command()
def rename(
    session_id: Id,
    title: Annotated[str, typer.Argument(help="The new title.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Give a conversation another title."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.sessions.rename(await caller(platform), session_id, title)

    body = with_platform(work, scope="ask")
    if as_json:
        put_json(body)
    else:
        say(f"{body['id']}: {body['title']}")


@app.command()
def delete(session_id: Id, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a conversation."""
    confirm(f"Remove conversation {session_id}? This cannot be undone.", yes)

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.sessions.delete(await caller(platform), session_id)

    body = with_platform(work, scope="ask")
    if as_json:
        put_json(body)
    else:
        say(f"Removed {body['title'] or body['id']} with {counted(body['turn_count'], 'question')}.")


@app.command()
def export(
    session_id: Id,
    form: Annotated[ExportFormat, typer.Option("--format", help="How it is written.")] = ExportFormat.MARKDOWN,
) -> None:
    """Print all of a conversation, with what its answers cite."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.sessions.export(await caller(platform), session_id)

    body = with_platform(work, scope="ask")
    if form is ExportFormat.JSON:
        put_json(body)
        return
    from groundwork.sessions.markdown import as_markdown  # start-up time

    say(as_markdown(body))


def _tell(turn: dict[str, Any]) -> None:
    if turn["withheld"]:
        say(f"{turn['number']}. {_WITHHELD}")
        return
    say(f"{turn['number']}. {turn['question']}")
    say(turn["answer"].get("answer") or "")
    for citation in turn["answer"].get("citations", []):
        page = f", page {citation['page']}" if citation["page"] is not None else ""
        say(f"[{citation['index']}] {citation['title']}{page}")
