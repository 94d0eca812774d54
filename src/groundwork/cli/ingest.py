"""`groundwork ingest`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.foreground import run_here
from groundwork.cli.options import AsJson
from groundwork.cli.output import counted, put_json, say
from groundwork.cli.progress import Advance, progress
from groundwork.cli.run import with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

_COUNTS = ("found", "added", "updated", "unchanged", "removed", "failed", "chunks", "embedded", "reused")


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders to take in.", show_default=False)],
    collection: Annotated[str, typer.Option("--collection", "-c", help="The collection they go to.")] = "default",
    as_json: AsJson = False,
) -> None:
    """Take files and folders in; again, to bring what changed up to date.

    What is unchanged is skipped, what is gone is removed, and a file that cannot be read is noted with its reason.
    """

    async def work(platform: "Platform") -> list[dict[str, Any]]:
        with progress(quiet=as_json) as advance:
            return [await _take_in(platform, path, collection, advance) for path in paths]

    reports = with_platform(work, announce=True)
    body = _summed(collection, reports)
    if as_json:
        put_json(body)
    else:
        tell(body)


async def _take_in(platform: "Platform", path: Path, collection: str, advance: Advance) -> dict[str, Any]:
    return await run_here(
        platform, lambda queue: platform.queue_ingest(path, collection, queue), advance, path.name or str(path)
    )


def _summed(collection: str, reports: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "collection": collection,
        **{key: sum(report[key] for report in reports) for key in _COUNTS},
        "seconds": round(sum(report["seconds"] for report in reports), 3),
        "failures": [failure for report in reports for failure in report["failures"]],
        "gaps": [gap for report in reports for gap in report["gaps"]],
        "sources": [report["source"] for report in reports],
    }


def tell(body: dict[str, Any]) -> None:
    """What a sync did, in words."""
    say(
        f"{counted(body['found'], 'document')} in {body['seconds']:.1f} s: {body['added']:,} added, {body['updated']:,} updated, "
        f"{body['unchanged']:,} unchanged, {body['removed']:,} removed, {body['failed']:,} failed"
    )
    say(f"{counted(body['chunks'], 'passage')}, {body['embedded']:,} embedded, {body['reused']:,} known already")
    for gap in body["gaps"]:
        say(f"  not looked into: {gap}")
    for failure in body["failures"]:
        say(f"  failed: {failure['uri']}\n          {failure['error']}")
