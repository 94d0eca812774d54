"""`groundwork collections`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson, Limit, Yes, confirm
from groundwork.cli.output import counted, put_json, say, table
from groundwork.cli.run import audited, caller, with_platform
from groundwork.errors import Invalid

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="List, make and remove collections.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The collection's name.", show_default=False)]
_KEYS = ("name", "documents", "chunks", "private", "description")


@app.command("list")
def list_collections(
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List collections."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.catalog.seen_by(await caller(platform)).collections(cursor, limit)

    page = with_platform(work, scope="search")
    if as_json:
        put_json(page)
    else:
        table(_KEYS, [[item[key] for key in _KEYS] for item in page["items"]])


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Look at one collection."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.catalog.seen_by(await caller(platform)).collection(name)

    _print(with_platform(work, scope="search"), as_json)


@app.command()
def create(
    name: Name,
    description: Annotated[str, typer.Option(help="What it holds.")] = "",
    private: Annotated[bool, typer.Option("--private", help="Its passages go to private models only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a new, empty collection."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.create_collection(name, description, private)

    _print(with_platform(work), as_json)


@app.command()
def private(
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="They may go to any model again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep a collection's passages to private language models (tier 0). Holds for the next question."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.set_private(name, not off, await caller(platform))

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"{name}: its passages go to {'private models only' if body['private'] else 'any model'}.")


@app.command()
def delete(name: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a collection with all its documents."""
    confirm(f"Remove collection {name} and every document in it?", yes)

    async def work(platform: "Platform") -> dict[str, Any]:
        gone = await platform.delete_collection(name)
        await audited(platform, "collection_removed", name, documents=gone["documents"])
        return gone

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Removed {name} with {counted(body['documents'], 'document')}.")


def _print(body: dict[str, Any], as_json: bool) -> None:
    if as_json:
        put_json(body)
    else:
        held = f"{counted(body['documents'], 'document')}, {counted(body['chunks'], 'passage')}"
        privacy = "Private. " if body["private"] else ""
        say(f"{body['name']}: {held}. {privacy}{body['description']}".strip())


@app.command()
def access(
    name: Name,
    everyone: Annotated[bool, typer.Option("--everyone", help="Everyone may read it.")] = False,
    role: Annotated[list[str] | None, typer.Option(help="Only this role may read it; repeat for more.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="Only this user may read it; repeat for more.")] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="Nobody but the operator may read it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say who may read a collection; without options, show who may. Holds for the next search."""

    async def work(platform: "Platform") -> dict[str, object]:
        from groundwork.access.scope import Readers, readers, set_readers  # start-up time

        if sum((everyone, nobody, bool(role or user))) > 1:
            raise Invalid("Say --everyone, or --nobody, or name roles and users; not several of these.")
        if everyone or role or user or nobody:
            chosen = Readers(everyone, tuple(role or ()), tuple(user or ()))
            body = (await set_readers(platform.database, name, chosen)).body()
            await audited(platform, "readers_changed", name, **body)
            return body
        return (await readers(platform.database, name)).body()

    body = with_platform(work)
    if as_json:
        put_json(body)
    elif body["everyone"]:
        say(f"{name}: everyone may read it.")
    else:
        say(f"{name}: roles {body['roles'] or 'none'}, users {body['users'] or 'none'}.")
