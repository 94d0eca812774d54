"""`groundwork jobs`."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from groundwork.cli.options import AsJson, Limit
from groundwork.cli.output import put_json, say, table
from groundwork.cli.run import with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="Watch, retry and cancel jobs.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[UUID, typer.Argument(help="The job's id.", show_default=False)]


@app.command("list")
def list_jobs(
    status: Annotated[
        str | None, typer.Option(help="Only in this state: waiting, running, retrying, failed, ...")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind: sync, upload, space_build, space_drop.")] = None,
    cursor: Annotated[UUID | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""

    async def work(platform: "Platform") -> list[dict[str, Any]]:
        return await platform.jobs.page(status, kind, cursor, limit + 1)

    jobs = with_platform(work)
    following = jobs[limit - 1]["id"] if len(jobs) > limit else None
    if as_json:
        put_json({"items": jobs[:limit], "next_cursor": following})
        return
    table(
        ("id", "status", "title", "progress", "attempts", "error"),
        [
            [job["id"], job["status"], job["title"], _progress(job), job["attempts"], job["error"]]
            for job in jobs[:limit]
        ],
    )
    if following:
        say(f"More: groundwork jobs list --cursor {following}")


@app.command()
def show(job_id: Id, as_json: AsJson = False) -> None:
    """Look at one job."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.jobs.show(job_id)

    _print(with_platform(work), as_json)


@app.command()
def retry(job_id: Id, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled job again."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.jobs.retry(job_id)

    _print(with_platform(work), as_json)


@app.command()
def cancel(job_id: Id, as_json: AsJson = False) -> None:
    """Cancel a job; one that runs keeps what it has published."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.jobs.cancel(job_id)

    _print(with_platform(work), as_json)


def _progress(job: dict[str, Any]) -> str:
    progress = job["progress"]
    if not progress:
        return ""
    total = f" of {progress['total']:,}" if progress.get("total") is not None else ""
    return f"{progress['step']} {progress['done']:,}{total}"


def _print(job: dict[str, Any], as_json: bool) -> None:
    if as_json:
        put_json(job)
        return
    for key, value in job.items():
        say(f"{key:16} {'' if value is None else value}")
