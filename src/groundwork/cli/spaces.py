"""`groundwork spaces`."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.foreground import run_here
from groundwork.cli.options import AsJson, SearchMode, Yes, confirm
from groundwork.cli.output import put_json, say, table
from groundwork.cli.progress import progress
from groundwork.cli.run import audited, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform
    from groundwork.spaces.registry import Spaces

app = typer.Typer(
    help="Change the embedding model while serving: build a space, compare it, switch to it, switch back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="The space's name.", show_default=False)]
Detach = Annotated[bool, typer.Option("--detach", help="Queue it for a running service and end.")]


class EmbedderKind(StrEnum):
    """What makes the vectors of a space."""

    OPENVINO = "openvino"
    OPENAI = "openai"
    HASHING = "hashing"


@app.command("list")
def list_spaces(as_json: AsJson = False) -> None:
    """List embedding spaces; searches use the live one."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.spaces.page()

    page = with_platform(work)
    if as_json:
        put_json(page)
        return
    keys = ("name", "status", "kind", "model", "revision", "dimension", "embedded", "missing", "url")
    table(keys, [[item[key] for key in keys] for item in page["items"]])


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call it.", show_default=False)],
    kind: Annotated[
        EmbedderKind,
        typer.Option(help="The model in the package, a server speaking the OpenAI protocol, or words only."),
    ],
    url: Annotated[str | None, typer.Option(help="Base URL of the server; left out, that of the settings.")] = None,
    model: Annotated[str | None, typer.Option(help="Model name asked of the server.")] = None,
    dimension: Annotated[int | None, typer.Option(min=1, max=4000, help="Length of its vectors.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=16, help="Longest input of the model, in tokens.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register a space for another model, once that model has answered. Nothing is built yet.

    Its key, if it needs one, is the setting GROUNDWORK_EMBEDDER__SPACE_API_KEYS__<NAME>.
    """

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.spaces.registry import NewSpace  # start-up time

        return await platform.spaces.create(NewSpace(name, kind.value, url, model, dimension, max_tokens))

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Registered {name} ({body['model']}, {body['dimension']} numbers). Next: groundwork spaces build {name}")


@app.command("set")
def set_address(
    name: Name,
    url: Annotated[str | None, typer.Option(help="Base URL where the same model is served now.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=16, help="Longest input of the model, in tokens.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change where the model of a space is served. It must be the same model: nothing is built anew."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.spaces.set_address(name, url, max_tokens)

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"{name}: {body['url']}, up to {body['max_tokens']} tokens")


@app.command()
def build(name: Name, detach: Detach = False, as_json: AsJson = False) -> None:
    """Embed every passage that lacks a vector in a space. Searches go on; a build that is cut off goes on later."""
    report = _run_job(name, lambda spaces, queue: spaces.queue_build(name, queue), detach, as_json)
    if report is not None:
        say(f"Built {name}: {report['embedded_now']:,} passages embedded, {report['reused_now']:,} known already.")
        say(f"Next: groundwork spaces compare {name}, then groundwork spaces switch {name}")


@app.command()
def compare(
    name: Name,
    questions: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines of questions, or a BEIR folder; left out, questions.jsonl in the data directory."
        ),
    ] = None,
    mode: Annotated[SearchMode, typer.Option(help="Which indexes to ask.")] = SearchMode.HYBRID,
    as_json: AsJson = False,
) -> None:
    """Search saved questions in a built space and in the live one, and report how they differ."""

    async def work(platform: "Platform") -> dict[str, Any]:
        with progress(quiet=as_json) as advance:
            return await platform.compare_spaces(name, questions, mode.value, advance)

    report = with_platform(work)
    if as_json:
        put_json(report)
        return
    for key, value in report.items():
        if key not in {"least_alike", "at"}:
            say(f"{key:20} {value}")
    say("Least alike:")
    for each in report["least_alike"]:
        say(f"  {each['overlap']:.2f}  {each['question']}")


@app.command()
def switch(name: Name, as_json: AsJson = False) -> None:
    """Make a built space the one that searches use, in every running process; the same command switches back."""

    async def work(platform: "Platform") -> dict[str, Any]:
        switched = await platform.spaces.switch(name)
        await audited(platform, "space_switched", name)
        return switched

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Searches use {name} now. The space before it is kept until you drop it.")


@app.command()
def drop(name: Name, yes: Yes = False, detach: Detach = False, as_json: AsJson = False) -> None:
    """Remove a space that is not live, with its vectors."""
    confirm(f"Drop space {name} and all its vectors?", yes)
    report = _run_job(name, lambda spaces, queue: spaces.queue_drop(name, queue), detach, as_json)
    if report is not None:
        say(f"Dropped {name} with {report['removed']:,} vectors.")


def _run_job(
    name: str, order: "Callable[[Spaces, str], Awaitable[dict[str, Any]]]", detach: bool, as_json: bool
) -> dict[str, Any] | None:
    """Runs a job here, or leaves it to a service; what it did, None when that was printed already."""

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.store.jobs import BULK  # start-up time

        if detach:
            return await order(platform.spaces, BULK)
        with progress(quiet=as_json) as advance:
            return await run_here(platform, lambda queue: order(platform.spaces, queue), advance, name)

    done = with_platform(work, announce=not detach)
    if as_json:
        put_json(done)
        return None
    if detach:
        say(f"Queued as job {done['id']}. Watch it: groundwork jobs show {done['id']}")
        return None
    return done
