"""`groundwork sources`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.foreground import run_here
from groundwork.cli.ingest import tell
from groundwork.cli.options import AsJson, Limit, Yes, confirm
from groundwork.cli.output import put_json, say, table
from groundwork.cli.progress import progress
from groundwork.cli.run import audited, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="Add, sync and remove sources of documents.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The source's name or id.", show_default=False)]
Collection = Annotated[
    str | None, typer.Option("--collection", "-c", help="Its collection, when several have a source of that name.")
]
Patterns = Annotated[list[str] | None, typer.Option(help="As in a .gitignore file; repeat for more.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it.", show_default=False)],
    location: Annotated[
        str,
        typer.Argument(
            help="A path, a web address or sitemap, a git repository, s3://bucket/prefix.", show_default=False
        ),
    ],
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="The collection its documents go to.")
    ] = "default",
    schedule: Annotated[
        str | None, typer.Option(help="A cron expression in UTC, such as '0 3 * * *'; left out, only when asked.")
    ] = None,
    include: Patterns = None,
    exclude: Patterns = None,
    branch: Annotated[str | None, typer.Option(help="Of a git repository.")] = None,
    path: Annotated[str | None, typer.Option(help="Folder within a git repository.")] = None,
    depth: Annotated[int | None, typer.Option(help="How many links away from a web page to go.")] = None,
    max_pages: Annotated[int | None, typer.Option(help="Most pages taken from the web.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a source. Nothing is fetched until it is synced."""
    given = {
        "include": include,
        "exclude": exclude,
        "branch": branch,
        "path": path,
        "depth": depth,
        "max_pages": max_pages,
    }
    options = {key: value for key, value in given.items() if value is not None}

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.ingest.registry import NewSource  # start-up time

        return await platform.sources.add(NewSource(name, location, collection, schedule, options))

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Added {body['name']} ({body['kind']}). Next: groundwork sources sync {body['name']}")


@app.command("list")
def list_sources(
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List sources."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.sources.page(cursor, limit)

    page = with_platform(work)
    if as_json:
        put_json(page)
        return
    keys = ("name", "collection", "kind", "documents", "failed", "schedule", "last_synced_at", "location")
    table(keys, [[item[key] for key in keys] for item in page["items"]])


@app.command()
def show(name: Name, collection: Collection = None, as_json: AsJson = False) -> None:
    """Look at one source."""

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.ingest.registry import body  # start-up time

        return body(await platform.sources.find(name, collection))

    source = with_platform(work)
    if as_json:
        put_json(source)
    else:
        for key, value in source.items():
            say(f"{key:16} {'' if value is None else value}")


@app.command()
def sync(
    name: Name,
    collection: Collection = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would happen; touch nothing.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Queue it for a running service and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a source's documents up to date."""
    if dry_run:
        _plan(name, collection, as_json)
    elif detach:
        _queue(name, collection, as_json)
    else:
        _sync_here(name, collection, as_json)


@app.command()
def schedule(
    name: Name,
    expression: Annotated[
        str | None, typer.Argument(help="A cron expression in UTC; left out, only when asked.")
    ] = None,
    collection: Collection = None,
    as_json: AsJson = False,
) -> None:
    """Say when a source is synced by itself; a running service does it."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.sources.set_schedule(await platform.sources.find(name, collection), expression)

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"{body['name']}: {'next sync at ' + body['next_sync_at'] if body['next_sync_at'] else 'only when asked'}")


@app.command()
def remove(name: Name, collection: Collection = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """Forget a source and remove its documents."""
    confirm(f"Remove source {name} and all its documents?", yes)

    async def work(platform: "Platform") -> dict[str, Any]:
        gone = await platform.remove_source(name, collection)
        await audited(platform, "source_removed", gone["name"], documents=gone["documents"])
        return gone

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Removed {body['name']} with {body['documents']:,} documents.")


def _plan(name: str, collection: str | None, as_json: bool) -> None:
    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.plan_sync(name, collection)

    plan = with_platform(work)
    if as_json:
        put_json(plan)
        return
    for kind in ("new", "changed", "removed", "unreadable"):
        for uri in plan[kind]:
            say(f"{kind:10} {uri}")
    say(f"{plan['unchanged']:,} unchanged. Nothing was touched.")


def _queue(name: str, collection: str | None, as_json: bool) -> None:
    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.sources.queue_sync(await platform.sources.find(name, collection))

    job = with_platform(work)
    if as_json:
        put_json(job)
    else:
        say(f"Queued as job {job['id']}. Watch it: groundwork jobs show {job['id']}")


def _sync_here(name: str, collection: str | None, as_json: bool) -> None:
    async def work(platform: "Platform") -> dict[str, Any]:
        source = await platform.sources.find(name, collection)
        with progress(quiet=as_json) as advance:
            return await run_here(
                platform, lambda queue: platform.sources.queue_sync(source, queue), advance, source.name
            )

    report = with_platform(work, announce=True)
    if as_json:
        put_json(report)
    else:
        tell(report)
