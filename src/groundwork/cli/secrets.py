"""`groundwork secrets`."""

from typing import TYPE_CHECKING, Any

import typer

from groundwork.cli.options import AsJson
from groundwork.cli.output import put_json, say, table
from groundwork.cli.run import caller, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="Change the secrets that tokens are signed with.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_secrets(as_json: AsJson = False) -> None:
    """List the signing secrets by id and age; never the secrets themselves."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.access.tokens.list()

    body = with_platform(work)
    if as_json:
        put_json(body)
        return
    keys = ("id", "signs", "age_days", "retires_at")
    table(keys, [[item[key] for key in keys] for item in body["items"]])


@app.command()
def rotate(as_json: AsJson = False) -> None:
    """Sign with a new secret from now on. Nobody is signed out: the old one holds until its tokens have expired."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.access.tokens.rotate(await caller(platform))

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        say(f"Tokens are signed with {body['id']}; those given out before hold until {body['others_hold_until']}.")
