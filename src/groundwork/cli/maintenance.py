"""`groundwork maintenance`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson
from groundwork.cli.output import put_json, say
from groundwork.cli.run import caller, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="Turn maintenance mode on and off.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def on(
    reason: Annotated[str, typer.Argument(help="What the people who are turned away are told.")] = "Planned work.",
    as_json: AsJson = False,
) -> None:
    """Answer 503 to everything but health, metrics and administration, until it is turned off."""
    _switch(True, reason, as_json)


@app.command()
def off(as_json: AsJson = False) -> None:
    """Answer again."""
    _switch(False, "", as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say whether it is on, since when and why."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.access.maintenance.state()

    _print(with_platform(work), as_json)


def _switch(wanted: bool, reason: str, as_json: bool) -> None:
    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.access.maintenance.switch(wanted, reason, await caller(platform))

    _print(with_platform(work), as_json)


def _print(body: dict[str, Any], as_json: bool) -> None:
    if as_json:
        put_json(body)
    elif body["on"]:
        say(f"Maintenance mode is on since {body['since']}, by {body['by']}: {body['reason']}")
    else:
        say("Maintenance mode is off.")
