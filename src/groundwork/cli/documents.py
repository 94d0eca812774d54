"""`groundwork documents`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from groundwork.cli.options import AsJson, Limit, Tags, Yes, confirm
from groundwork.cli.output import counted, put_json, say, table
from groundwork.cli.progress import progress
from groundwork.cli.run import audited, caller, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="List, label, remove, export and import documents.", no_args_is_help=True, rich_markup_mode=None)


class DocumentStatus(StrEnum):
    """How far a document has come."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


Id = Annotated[str, typer.Argument(help="The document's id.", show_default=False)]


@app.command("list")
def list_documents(
    collection: Annotated[str | None, typer.Option("--collection", "-c", help="Only of this collection.")] = None,
    status: Annotated[DocumentStatus | None, typer.Option(help="Only in this state.")] = None,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    tag: Tags = None,
    as_json: AsJson = False,
) -> None:
    """List documents."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.catalog.seen_by(await caller(platform)).documents(
            collection, status and status.value, cursor, limit, tag
        )

    page = with_platform(work, scope="search")
    if as_json:
        put_json(page)
        return
    keys = ("id", "status", "collection", "title", "pages", "chunks", "uri")
    table(keys, [[item[key] for key in keys] for item in page["items"]])
    if page["next_cursor"]:
        say(f"More: groundwork documents list --cursor {page['next_cursor']}")


@app.command()
def show(document_id: Id, as_json: AsJson = False) -> None:
    """Look at one document and its versions."""

    async def work(platform: "Platform") -> tuple[dict[str, Any], dict[str, Any]]:
        catalog = platform.catalog.seen_by(await caller(platform))
        return await catalog.document(document_id), await catalog.versions(document_id)

    body, kept = with_platform(work, scope="search")
    if as_json:
        put_json(body)
        return
    _print(body)
    for each in kept["items"]:
        say(f"{'live' if each['live'] else 'former':12} {_version(each)}")


@app.command()
def versions(document_id: Id, as_json: AsJson = False) -> None:
    """List the versions of a document that are kept, newest first; citations name them."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.catalog.seen_by(await caller(platform)).versions(document_id)

    kept = with_platform(work, scope="search")
    if as_json:
        put_json(kept)
        return
    for each in kept["items"]:
        say(f"{'live' if each['live'] else 'former':12} {_version(each)}")


@app.command()
def tag(
    document_id: Id,
    add: Annotated[list[str] | None, typer.Option(help="A tag to add; repeat for more.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tag to take away; repeat for more.")] = None,
    meta: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE to set, KEY= to take away; repeat for more.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a document's tags and metadata. Searches with --tag see it at once."""
    metadata = dict(_pair(each) for each in meta or [])

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.ingest.upkeep.labels import Relabel  # start-up time

        return await platform.relabel(document_id, Relabel(add or [], remove or [], metadata))

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"{body['title']}: {', '.join(body['tags']) or 'no tags'}")
        for key, value in body["metadata"].items():
            say(f"  {key} = {value}")


@app.command()
def text(
    document_id: Id,
    version: Annotated[str | None, typer.Option(help="`sha256:...`; left out, the live version.")] = None,
    start: Annotated[int | None, typer.Option(min=0, help="First character.")] = None,
    end: Annotated[int | None, typer.Option(min=0, help="Character after the last.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the stored text of a document, whole or a span of it."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.catalog.seen_by(await caller(platform)).text(document_id, version, start, end)

    body = with_platform(work, scope="search")
    if as_json:
        put_json(body)
    else:
        say(body["text"])


@app.command()
def delete(document_id: Id, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a document with all its versions, from the record and every index."""
    confirm(f"Remove document {document_id} and all its versions?", yes)

    async def work(platform: "Platform") -> dict[str, Any]:
        gone = await platform.delete_document(document_id)
        await audited(platform, "document_removed", gone["uri"], collection=gone["collection"])
        return gone

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Removed {body['title']} ({body['uri']}).")
        say("Left of it: " + ", ".join(f"{count} {name}" for name, count in body["proof"].items()))


@app.command()
def export(
    collection: Annotated[str, typer.Argument(help="The collection's name.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="The file to write, such as handbook.zip.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace the file when there is one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a collection into one portable file: texts, passages, labels and vectors."""

    async def work(platform: "Platform") -> dict[str, Any]:
        with progress(quiet=as_json) as advance:
            return await platform.export_collection(collection, file, force, advance)

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        held = f"{counted(body['documents'], 'document')}, {counted(body['chunks'], 'passage')}"
        say(f"Wrote {body['file']}: {held}, {body['bytes'] / 1e6:.1f} MB.")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A file that `documents export` wrote.", show_default=False)],
    collection: Annotated[
        str | None, typer.Option("--collection", "-c", help="The collection to take it into; left out, its own name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take an exported collection in. All of the file is checked first; what is there already stays as it is."""

    async def work(platform: "Platform") -> dict[str, Any]:
        with progress(quiet=as_json) as advance:
            return await platform.import_collection(file, collection, advance)

    body = with_platform(work, announce=True)
    if as_json:
        put_json(body)
        return
    say(
        f"{counted(body['documents'], 'document')} into {body['collection']} in {body['seconds']:.1f} s: "
        f"{body['added']:,} added, "
        f"{body['updated']:,} updated, {body['unchanged']:,} unchanged, {body['failed']:,} failed"
    )
    say(f"{counted(body['chunks'], 'passage')}, {body['embedded']:,} embedded anew")


def _print(body: dict[str, Any]) -> None:
    for key, value in body.items():
        shown = ", ".join(cast("list[str]", value)) if isinstance(value, list) else value
        say(f"{key:12} {'' if value is None else shown}")


def _version(version: dict[str, Any]) -> str:
    return f"{version['version']}  {version['created_at']}  {counted(version['characters'], 'character')}"


def _pair(text: str) -> tuple[str, str | None]:
    key, joint, value = text.partition("=")
    if not joint:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--meta")
    return key, value or None
