"""`groundwork users`."""

import os
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson, Limit, Yes, confirm
from groundwork.cli.output import put_json, say, table
from groundwork.cli.run import caller, with_platform
from groundwork.errors import Invalid

if TYPE_CHECKING:
    from groundwork.access.people.users import People
    from groundwork.access.scope import Caller
    from groundwork.assembly import Platform

app = typer.Typer(help="Add people, change their roles and passwords.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The user's name.", show_default=False)]
Prompted = Annotated[bool, typer.Option("--prompt", help="Ask for the password instead of making one.")]


class Role(StrEnum):
    """What somebody may do."""

    ADMIN = "admin"
    REVIEWER = "reviewer"
    MEMBER = "member"


@app.command("create-admin")
def create_admin(
    name: Annotated[str, typer.Argument(help="The admin's name.")] = "admin", as_json: AsJson = False
) -> None:
    """Add an admin. The password comes from ADMIN_PASSWORD or a prompt."""
    password = os.environ.get("ADMIN_PASSWORD") or _prompt()
    _change(lambda people, by: people.add(name, "admin", password, by), as_json)


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.MEMBER,
    prompt: Prompted = False,
    as_json: AsJson = False,
) -> None:
    """Add somebody. Their password is made and shown once, unless you give one."""
    password = _prompt() if prompt else None
    _change(lambda people, by: people.add(name, role.value, password, by), as_json)


@app.command("list")
def list_users(
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List people."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.access.people.page(cursor, limit)

    page = with_platform(work)
    if as_json:
        put_json(page)
        return
    keys = ("name", "role", "status", "last_login_at", "created_at")
    table(keys, [[item[key] for key in keys] for item in page["items"]])


@app.command()
def disable(name: Name, as_json: AsJson = False) -> None:
    """Shut somebody out at once: their tokens and keys end."""
    _change(lambda people, by: people.set_status(name, "disabled", by), as_json)


@app.command()
def enable(name: Name, as_json: AsJson = False) -> None:
    """Let somebody in again."""
    _change(lambda people, by: people.set_status(name, "active", by), as_json)


@app.command()
def unlock(name: Name, as_json: AsJson = False) -> None:
    """Forget somebody's failed logins, so that they need not wait."""
    _change(lambda people, by: people.unlock(name, by), as_json)


@app.command("set-role")
def set_role(
    name: Name, role: Annotated[Role, typer.Argument(help="What they may do.")], as_json: AsJson = False
) -> None:
    """Give somebody another role; they sign in anew."""
    _change(lambda people, by: people.set_role(name, role.value, by), as_json)


@app.command("reset-password")
def reset_password(name: Name, prompt: Prompted = False, as_json: AsJson = False) -> None:
    """Give somebody a new password, made and shown once unless you give one; their tokens end."""
    password = _prompt() if prompt else None
    _change(lambda people, by: people.set_password(name, password, by), as_json)


@app.command()
def export(name: Name) -> None:
    """Print everything that is stored about somebody, as JSON."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.everything_about(name, await caller(platform))

    put_json(with_platform(work))


@app.command()
def erase(name: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove somebody with their keys, grants and conversations. What they spent stays in the sums, without their name.

    The audit log keeps its entries until they expire.
    """
    confirm(f"Erase {name} with all their keys, grants and conversations? This cannot be undone.", yes)
    _change(lambda people, by: people.erase(name, by), as_json)


def _change(change: "Callable[[People, Caller], Awaitable[dict[str, Any]]]", as_json: bool) -> None:
    async def work(platform: "Platform") -> dict[str, Any]:
        return await change(platform.access.people, await caller(platform))

    body = with_platform(work)
    if as_json:
        put_json(body)
        return
    say(f"{body['name']}: {body['role']}, {body['status']}.")
    if "password" in body:
        say(f"Password, shown this once: {body['password']}")


def _prompt() -> str:
    if not sys.stdin.isatty():
        typed = sys.stdin.readline().rstrip("\n")
        if not typed:
            raise Invalid(
                "There is no password: set ADMIN_PASSWORD, type one at the prompt, or send one on standard input."
            )
        return typed
    return typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
