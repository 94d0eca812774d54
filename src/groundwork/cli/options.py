"""Options that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, the same body HTTP answers.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Collections = Annotated[
    list[str] | None, typer.Option("--collection", "-c", help="Only this collection; repeat for more.")
]
Sources = Annotated[list[str] | None, typer.Option("--source", help="Only this source; repeat for more.")]
MediaTypes = Annotated[
    list[str] | None,
    typer.Option("--media-type", help="Only this media type, such as application/pdf; repeat for more."),
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", "-t", help="Only documents with this tag; repeat for any of several.")
]
Since = Annotated[str | None, typer.Option(help="Only texts taken in on this day (UTC) or later, such as 2026-01-31.")]
Until = Annotated[str | None, typer.Option(help="Only texts taken in up to and with this day (UTC).")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many at most.")]


class SearchMode(StrEnum):
    """Which indexes a search asks."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


class ServeRole(StrEnum):
    """What a process does."""

    ALL = "all"
    API = "api"
    WORKER = "worker"


def confirm(question: str, yes: bool) -> None:
    """Asks before something is destroyed; ends the command when the answer is no."""
    if not yes:
        typer.confirm(question, abort=True, err=True)
