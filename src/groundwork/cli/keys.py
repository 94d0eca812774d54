"""`groundwork keys`."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from groundwork.cli.options import AsJson, Limit
from groundwork.cli.output import put_json, say, table
from groundwork.cli.run import caller, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="Make and revoke API keys.", no_args_is_help=True, rich_markup_mode=None)


class KeyScope(StrEnum):
    """What a key may do."""

    SEARCH = "search"
    ASK = "ask"
    INGEST = "ingest"
    ADMIN = "admin"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.", show_default=False)],
    scope: Annotated[list[KeyScope], typer.Option(help="What it may do; repeat for more.", show_default=False)],
    user: Annotated[str | None, typer.Option(help="Whose rights it has; left out, a program's own.")] = None,
    collection: Annotated[
        list[str] | None,
        typer.Option("--collection", "-c", help="The only collection it reaches; repeat for more."),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Days until it expires; left out, never.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; it is shown this once."""

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.access.credentials.keys import NewKey  # start-up time

        expires = datetime.now(UTC) + timedelta(days=days) if days is not None else None
        wanted = NewKey(name, [each.value for each in scope], user, collection, expires)
        return await platform.access.keys.create(wanted, await caller(platform))

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Key {body['name']} ({body['prefix']}), for {', '.join(body['scopes'])}. Shown this once:\n{body['key']}")


@app.command("list")
def list_keys(
    user: Annotated[str | None, typer.Option(help="Only of this user.")] = None,
    cursor: Annotated[UUID | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List keys; never the keys themselves."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.access.keys.page(user, cursor, limit)

    page = with_platform(work)
    if as_json:
        put_json(page)
        return
    keys = ("prefix", "name", "user", "status", "scopes", "collections", "expires_at", "last_used_at")
    table(keys, [[_shown(item[key]) for key in keys] for item in page["items"]])


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Its id, prefix or name.", show_default=False)], as_json: AsJson = False
) -> None:
    """End a key at once."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.access.keys.revoke(key, await caller(platform))

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Key {body['name']} ({body['prefix']}) is revoked.")


def _shown(value: object) -> object:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else value  # type: ignore[reportUnknownVariableType]
