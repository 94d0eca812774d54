"""`groundwork audit`."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson, Limit
from groundwork.cli.output import put_json, say, table
from groundwork.cli.run import with_platform
from groundwork.errors import Corrupt, Unavailable

if TYPE_CHECKING:
    from groundwork.access.audit.log import Verdict
    from groundwork.assembly import Platform

app = typer.Typer(help="Read and verify the audit log.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_entries(
    action: Annotated[str | None, typer.Option(help="Only this action, such as login_failed.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what they did, such as user:ada.")] = None,
    cursor: Annotated[int | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List what was done, newest first."""

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.access.audit import log  # start-up time

        return await log.page(platform.database, cursor, action, actor, limit)

    page = with_platform(work)
    if as_json:
        put_json(page)
        return
    keys = ("id", "at", "actor", "action", "subject", "address")
    table(keys, [[item[key] for key in keys] for item in page["items"]])


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; left out, standard output.")] = None,
) -> None:
    """Write every entry with its hash, one JSON object a line, oldest first."""

    async def work(platform: "Platform") -> int:
        from groundwork.access.audit import log  # start-up time

        count = 0
        async for entry in log.export(platform.database):
            out.write(json.dumps(entry, ensure_ascii=False) + "\n")
            count += 1
        return count

    try:
        with nullcontext(sys.stdout) if file is None else file.open("w", encoding="utf-8") as out:
            count = with_platform(work)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written ({error.strerror}). Choose another place.") from error
    if file is not None:
        say(f"{count:,} entries are in {file}.")


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Check that nothing in the log was changed, removed or put in."""

    async def work(platform: "Platform") -> "Verdict":
        from groundwork.access.audit import log  # start-up time

        return await log.verify(platform.database)

    found = with_platform(work)
    if as_json:
        put_json(found.body())
    if found.broken_at is not None:
        raise Corrupt(f"The audit log is broken at entry {found.broken_at}: {found.reason} Compare it with an export.")
    if not as_json:
        say(f"{found.entries:,} entries, whole. Keep this elsewhere to prove the end of it later: {found.head}")
