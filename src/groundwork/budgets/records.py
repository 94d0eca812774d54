"""What is stored of budgets.

Nobody waits in a circle: reservations are touched before sums, and the sums of a moment in the order of PERIODS.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import LiteralString
from uuid import UUID

from psycopg import AsyncConnection

from groundwork.budgets import PERIODS, Period
from groundwork.budgets.periods import begins
from groundwork.store.database import Database, Row

_LIMIT = (
    "coalesce((SELECT coalesce(l.limit_usd, 'Infinity') FROM budget_limits l "
    "WHERE l.account = %(account)s AND l.period = %(period)s), %(limit)s::numeric, 'Infinity')"
)
"""What an account may spend in a period: its own limit, else the one given; infinite when there is none."""

_LEDGER = "id, at, account, provider, model, purpose, outcome, input_tokens, output_tokens, cost_usd, estimated"

COUNTED: LiteralString = """
SELECT m.account, f.period, date_trunc(f.field, m.at AT TIME ZONE 'UTC')::date AS begins,
    sum(m.spent) AS spent_usd, sum(m.reserved) AS reserved_usd
FROM (SELECT account, at, cost_usd AS spent, 0 AS reserved FROM ledger WHERE cost_usd > 0
    UNION ALL SELECT account, at, 0, amount_usd FROM budget_reservations) AS m
CROSS JOIN (VALUES ('daily', 'day'), ('weekly', 'week'), ('monthly', 'month')) AS f(period, field)
GROUP BY 1, 2, 3
"""
"""Sums as the ledger and the open reservations have them."""

Defaults = dict[Period, Decimal | None]
"""Limits of those who have none of their own."""


@dataclass(frozen=True)
class Reservation:
    """Money set aside."""

    id: UUID
    account: str
    at: datetime
    expires_at: datetime
    amount_usd: Decimal
    provider: str
    model: str
    purpose: str
    input_tokens: int


@dataclass(frozen=True)
class Result:
    """What became of a request."""

    outcome: str
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    estimated: bool


@dataclass(frozen=True)
class Sum:
    """What an account has spent and reserved in a period, and may spend."""

    period: Period
    spent: Decimal
    reserved: Decimal
    limit: Decimal | None
    """None: as much as it likes."""
    own: bool = False
    """Whether the limit is the account's own, not everybody's."""


async def reserve(connection: AsyncConnection, wanted: Reservation, defaults: Defaults) -> bool:
    """Sets money aside in every period of a moment; False when one of them has no room, or no row yet.

    False means: undo the transaction.
    """
    row = (wanted.id, wanted.account, wanted.at, wanted.expires_at, wanted.amount_usd)
    async with connection.pipeline():
        await connection.execute(
            "INSERT INTO budget_reservations (id, account, at, expires_at, amount_usd, provider, model, purpose, input_tokens) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (*row, wanted.provider, wanted.model, wanted.purpose, wanted.input_tokens),
        )
        updates = [
            await connection.execute(
                "UPDATE budget_periods SET reserved_usd = reserved_usd + %(amount)s WHERE account = %(account)s "
                "AND period = %(period)s AND begins = %(begins)s AND spent_usd + reserved_usd + %(amount)s <= "
                + _LIMIT,
                {**_row(wanted.account, period, wanted.at), "amount": wanted.amount_usd, "limit": defaults[period]},
            )
            for period in PERIODS
        ]
    return all(each.rowcount == 1 for each in updates)


async def lock(connection: AsyncConnection, account: str, at: datetime, defaults: Defaults) -> list[Sum]:
    """Sums and limits of every period of a moment, which nobody changes until the transaction ends."""
    await connection.execute("LOCK TABLE budget_reservations IN ROW EXCLUSIVE MODE")
    found: list[Sum] = []
    for period in PERIODS:
        row = _row(account, period, at)
        await connection.execute(
            "INSERT INTO budget_periods (account, period, begins) VALUES (%(account)s, %(period)s, %(begins)s) "
            "ON CONFLICT DO NOTHING",
            row,
        )
        cursor = await connection.execute(
            "SELECT spent_usd, reserved_usd, nullif(" + _LIMIT + ", 'Infinity') FROM budget_periods "
            "WHERE account = %(account)s AND period = %(period)s AND begins = %(begins)s FOR UPDATE",
            {**row, "limit": defaults[period]},
        )
        found += [Sum(period, *each) for each in await cursor.fetchall()]
    return found


async def sums(database: Database, account: str, at: datetime, defaults: Defaults) -> list[Sum]:
    """Sums and limits of every period of a moment."""
    rows = await database.fetch(
        "SELECT w.period, coalesce(p.spent_usd, 0), coalesce(p.reserved_usd, 0), "
        "CASE WHEN l.account IS NULL THEN w.usual ELSE l.limit_usd END, l.account IS NOT NULL "
        "FROM unnest(%(periods)s::text[], %(begins)s::date[], %(defaults)s::numeric[]) WITH ORDINALITY "
        "AS w(period, begins, usual, place) "
        "LEFT JOIN budget_periods p ON p.account = %(account)s AND p.period = w.period AND p.begins = w.begins "
        "LEFT JOIN budget_limits l ON l.account = %(account)s AND l.period = w.period ORDER BY w.place",
        {
            "account": account,
            "periods": list(PERIODS),
            "begins": [begins(period, at) for period in PERIODS],
            "defaults": [defaults[period] for period in PERIODS],
        },
    )
    return [Sum(*row) for row in rows]


async def settle(connection: AsyncConnection, reservation_id: UUID, result: Result | None) -> Row | None:
    """Turns a reservation into a line of the ledger; None when it was settled before.

    Without a result it is lost: its whole amount counts as spent. Answers account, provider, model and the cost.
    """
    cursor = await connection.execute(
        "DELETE FROM budget_reservations WHERE id = %s "
        "RETURNING account, at, amount_usd, provider, model, purpose, input_tokens",
        (reservation_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    account, at, amount, provider, model, purpose, input_tokens = row
    done = result or Result("lost", input_tokens, 0, amount, True)
    async with connection.pipeline():
        for period in PERIODS:
            await connection.execute(
                "UPDATE budget_periods SET reserved_usd = reserved_usd - %(amount)s, spent_usd = spent_usd + %(cost)s "
                "WHERE account = %(account)s AND period = %(period)s AND begins = %(begins)s",
                {**_row(account, period, at), "amount": amount, "cost": done.cost_usd},
            )
        await _note(connection, (reservation_id, at, account, provider, model, purpose), done)
    return account, provider, model, done.cost_usd


async def note_unreserved(connection: AsyncConnection, free: Reservation, result: Result) -> None:
    """A line of the ledger for a request that was thought to be free; once, however often it is called."""
    words = (free.id, free.at, free.account, free.provider, free.model, free.purpose)
    if not await _note(connection, words, result) or not result.cost_usd:
        return
    for period in PERIODS:
        await connection.execute(
            "INSERT INTO budget_periods AS p (account, period, begins, spent_usd) "
            "VALUES (%(account)s, %(period)s, %(begins)s, %(cost)s) "
            "ON CONFLICT (account, period, begins) DO UPDATE SET spent_usd = p.spent_usd + %(cost)s",
            {**_row(free.account, period, free.at), "cost": result.cost_usd},
        )


async def _note(connection: AsyncConnection, words: tuple[object, ...], result: Result) -> bool:
    cursor = await connection.execute(
        f"INSERT INTO ledger ({_LEDGER}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (*words, result.outcome, result.input_tokens, result.output_tokens, result.cost_usd, result.estimated),
    )
    return cursor.rowcount == 1


async def expired(database: Database, at: datetime, limit: int) -> list[UUID]:
    """Reservations whose time was over at a moment, the oldest first."""
    rows = await database.fetch(
        "SELECT id FROM budget_reservations WHERE expires_at <= %s ORDER BY expires_at, id LIMIT %s", (at, limit)
    )
    return [row[0] for row in rows]


async def is_known(database: Database, account: str) -> bool:
    """Whether there is a user or a key of that name, or somebody who has spent under it."""
    return bool(
        await database.fetch(
            "SELECT FROM users WHERE name = %(account)s UNION ALL "
            "SELECT FROM api_keys WHERE user_id IS NULL AND 'key:' || name = %(account)s UNION ALL "
            "SELECT FROM budget_periods WHERE account = %(account)s UNION ALL "
            "SELECT FROM budget_limits WHERE account = %(account)s UNION ALL "
            "SELECT FROM ledger WHERE account = %(account)s LIMIT 1",
            {"account": account},
        )
    )


async def own_limit(connection: AsyncConnection, account: str, period: Period) -> Row | None:
    """An account's own limit, as a row; None when it has none of its own."""
    cursor = await connection.execute(
        "SELECT limit_usd FROM budget_limits WHERE account = %s AND period = %s FOR UPDATE", (account, period)
    )
    return await cursor.fetchone()


async def set_limit(connection: AsyncConnection, account: str, period: Period, limit: Decimal | None, by: str) -> None:
    """Gives an account a limit of its own; None: no limit at all."""
    await connection.execute(
        "INSERT INTO budget_limits (account, period, limit_usd, updated_by) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (account, period) DO UPDATE SET limit_usd = excluded.limit_usd, updated_at = now(), "
        "updated_by = excluded.updated_by",
        (account, period, limit, by),
    )


async def remove_limit(connection: AsyncConnection, account: str, period: Period) -> None:
    """Takes an account's own limit away."""
    await connection.execute("DELETE FROM budget_limits WHERE account = %s AND period = %s", (account, period))


async def top(database: Database, period: Period, begins: date, limit: int) -> list[Row]:
    """Accounts with what they have spent and reserved, the greatest spender first."""
    return await database.fetch(
        "SELECT account, spent_usd, reserved_usd FROM budget_periods WHERE period = %s AND begins = %s AND spent_usd > 0 "
        "ORDER BY spent_usd DESC, account LIMIT %s",
        (period, begins, limit),
    )


async def recount(connection: AsyncConnection) -> None:
    """Makes every sum anew from the ledger and the open reservations, while nobody reserves or settles."""
    await connection.execute("LOCK TABLE budget_reservations, budget_periods IN SHARE ROW EXCLUSIVE MODE")
    await connection.execute(
        "INSERT INTO budget_periods AS p (account, period, begins, spent_usd, reserved_usd) " + COUNTED + " "
        "ON CONFLICT (account, period, begins) DO UPDATE SET spent_usd = excluded.spent_usd, "
        "reserved_usd = excluded.reserved_usd "
        "WHERE (p.spent_usd, p.reserved_usd) IS DISTINCT FROM (excluded.spent_usd, excluded.reserved_usd)"
    )
    await connection.execute(
        "UPDATE budget_periods p SET spent_usd = 0, reserved_usd = 0 WHERE (spent_usd <> 0 OR reserved_usd <> 0) "
        "AND NOT EXISTS (SELECT FROM (" + COUNTED + ") AS c WHERE (c.account, c.period, c.begins) = "
        "(p.account, p.period, p.begins))"
    )


def _row(account: str, period: Period, at: datetime) -> dict[str, object]:
    return {"account": account, "period": period, "begins": begins(period, at)}
