"""`groundwork models breaker`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from groundwork.cli.options import AsJson
from groundwork.cli.output import put_json, say, table
from groundwork.cli.run import audited, caller, with_platform
from groundwork.errors import Invalid

if TYPE_CHECKING:
    from groundwork.assembly import Platform


class Turn(StrEnum):
    """Where to turn the switch."""

    OPEN = "open"
    CLOSE = "close"
    AUTO = "auto"


_POSITIONS: dict[Turn, Literal["open", "closed", "auto"]] = {
    Turn.OPEN: "open",
    Turn.CLOSE: "closed",
    Turn.AUTO: "auto",
}


def breaker(
    turn: Annotated[
        Turn | None, typer.Argument(help="Hold it open (not asked), or closed (always asked), or let it decide.")
    ] = None,
    provider: Annotated[str | None, typer.Argument(help="Whose breaker.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Show circuit breakers, or hold one open or closed. Services take it up within about a second."""
    if turn is None:
        _show(as_json)
    elif provider is None:
        raise Invalid(f"Whose breaker? Write `groundwork models breaker {turn} PROVIDER`.")
    else:
        _turn(turn, provider, as_json)


def _show(as_json: bool) -> None:
    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.breakers.page(serving=False)

    page = with_platform(work)
    if as_json:
        put_json(page)
        return
    if not page["items"]:
        say("No provider of language models is set up.")
        return
    keys = ("provider", "state", "switch", "failures", "since", "by")
    table(
        keys,
        [["unknown" if key == "state" and each[key] is None else each[key] for key in keys] for each in page["items"]],
    )
    if any(each["state"] is None for each in page["items"]):
        say("Without a Redis that answers only the service itself knows the states: GET /api/v1/breakers says them.")


def _turn(turn: Turn, provider: str, as_json: bool) -> None:
    position = _POSITIONS[turn]

    async def work(platform: "Platform") -> dict[str, Any]:
        by = (await caller(platform)).name
        changed = await platform.breakers.switch(provider, position, by, serving=False)
        await audited(platform, "breaker_switched", provider, switch=position)
        return changed

    body = with_platform(work)
    if as_json:
        put_json(body)
    elif position == "auto":
        say(f"The breaker of {provider} decides for itself.")
    else:
        say(f"The breaker of {provider} is held {position} until `groundwork models breaker auto {provider}`.")
