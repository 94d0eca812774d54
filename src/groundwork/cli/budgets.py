"""`groundwork budgets`."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from groundwork.cli.options import AsJson, Limit
from groundwork.cli.output import put_json, say, table
from groundwork.cli.run import caller, with_platform
from groundwork.errors import Invalid

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="See and limit what is spent on language models.", no_args_is_help=True, rich_markup_mode=None)

_USER = "A user's name, or key:NAME for a program's key"


class BudgetPeriod(StrEnum):
    """How long a limit holds before it begins anew, in UTC."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@app.command()
def show(
    user: Annotated[str | None, typer.Argument(help=f"{_USER}; left out, you.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Show what somebody may spend, has spent and has left: today, this week, this month."""

    async def work(platform: "Platform") -> list[dict[str, Any]]:
        who = await caller(platform)
        limits = platform.budgets.limits
        return [await limits.show(user or who.account, period.value, who) for period in BudgetPeriod]

    items = with_platform(work, scope="ask")
    if as_json:
        put_json({"items": items})
        return
    say(f"{items[0]['user_id']}, in US dollars:")
    keys = ("period", "limit", "spent", "reserved", "remaining", "resets_at")
    table(keys, [["none" if item[key] is None else item[key] for key in keys] for item in items])


@app.command("set", context_settings={"ignore_unknown_options": True})  # -1 is a number, and a wrong one
def set_limit(
    user: Annotated[str, typer.Argument(help=f"{_USER}.", show_default=False)],
    period: Annotated[BudgetPeriod, typer.Argument(show_default=False)],
    limit: Annotated[
        str,
        typer.Argument(
            help="US dollars, such as 2.50; `none` for no limit at all; `default` for the one of the settings.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Give somebody a limit of their own."""
    dollars = None if limit in {"none", "default"} else _dollars(limit)

    async def work(platform: "Platform") -> dict[str, Any]:
        limits, by = platform.budgets.limits, await caller(platform)
        if limit == "default":
            return await limits.remove(user, period.value, by)
        return await limits.set(user, period.value, dollars, by)

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        shown = "no limit" if body["limit"] is None else f"${body['limit']}"
        say(f"{body['user_id']}, {body['period']}: {shown}; ${body['spent']} are spent.")


@app.command()
def top(
    period: Annotated[BudgetPeriod, typer.Argument()] = BudgetPeriod.DAILY,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many at most.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show who has spent most in this period."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.budgets.limits.top(period.value, limit)

    body = with_platform(work)
    if as_json:
        put_json(body)
        return
    keys = ("rank", "user_id", "spent", "reserved")
    table(keys, [[item[key] for key in keys] for item in body["items"]])


@app.command()
def ledger(
    user: Annotated[
        str | None, typer.Argument(help=f"{_USER}; left out, everybody for admins, else you.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only from this day or moment (UTC) on, such as 2026-01-31.")
    ] = None,
    cursor: Annotated[UUID | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List requests to models with what they cost, newest first."""
    moment = _moment(since) if since is not None else None

    async def work(platform: "Platform") -> dict[str, Any]:
        who = await caller(platform)
        everybody = user is None and "admin" in who.scopes
        account = None if everybody else await platform.budgets.limits.account(user or who.account, who)
        return await platform.budgets.ledger.page(account, moment, cursor, limit)

    page = with_platform(work, scope="ask")
    if as_json:
        put_json(page)
        return
    keys = ("at", "user_id", "provider", "model", "outcome", "input_tokens", "output_tokens", "cost_usd")
    table(keys, [[item[key] for key in keys] for item in page["items"]])
    if page["next_cursor"]:
        say(f"More: groundwork budgets ledger --cursor {page['next_cursor']}")


def _dollars(text: str) -> Decimal:
    try:
        return Decimal(text.removeprefix("$"))
    except InvalidOperation as error:
        raise Invalid(f"{text!r} is no limit. Give US dollars, such as 2.50, or `none`, or `default`.") from error


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is no day or moment. Write it as 2026-01-31 or 2026-01-31T12:00.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
