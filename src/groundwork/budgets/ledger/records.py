"""What is stored of the ledger, a partition a month; and what is stored of one account in all tables of budgets."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier, Literal

from groundwork.store.database import Database, Row

_LINE = "id, at, account, provider, model, purpose, outcome, input_tokens, output_tokens, cost_usd, estimated"
_LONGEST_WAIT = "5s"


async def page(
    database: Database, account: str | None, since: datetime | None, before: UUID | None, limit: int
) -> list[Row]:
    """Lines, newest first; of one account, or all."""
    return await database.fetch(
        f"SELECT {_LINE} FROM ledger WHERE (%(account)s::text IS NULL OR account = %(account)s) "
        "AND (%(since)s::timestamptz IS NULL OR at >= %(since)s) AND (%(before)s::uuid IS NULL OR id < %(before)s) "
        "ORDER BY id DESC LIMIT %(limit)s",
        {"account": account, "since": since, "before": before, "limit": limit},
    )


async def months(database: Database) -> set[str]:
    """Names of the partitions there are."""
    rows = await database.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'ledger'::regclass"
    )
    return {row[0] for row in rows}


async def make_month(connection: AsyncConnection, name: str, first: date, following: date) -> bool:
    """Gives a month a partition of its own, and moves there what the one for the rest has of it; False when it has one."""
    await connection.execute("SELECT set_config('lock_timeout', %s, true)", (_LONGEST_WAIT,))
    await connection.execute("LOCK TABLE ledger_rest IN ACCESS EXCLUSIVE MODE")
    cursor = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
    row = await cursor.fetchone()
    if row and row[0]:
        return False
    table, begin, end = Identifier(name), Literal(f"{first} 00:00+00"), Literal(f"{following} 00:00+00")
    await connection.execute(
        SQL("CREATE TABLE {} (LIKE ledger INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(table)
    )
    await connection.execute(
        SQL(
            "WITH moved AS (DELETE FROM ledger_rest WHERE at >= {} AND at < {} RETURNING *) INSERT INTO {} SELECT * FROM moved"
        ).format(begin, end, table)
    )
    await connection.execute(
        SQL("ALTER TABLE ledger ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(table, begin, end)
    )
    return True


async def lines_of(database: Database, account: str) -> list[Row]:
    """Every line of an account, oldest first."""
    return await database.fetch(
        f"SELECT {_LINE} FROM ledger WHERE account = %s ORDER BY at, id", (account,), patient=True
    )


async def limits_of(database: Database, account: str) -> list[Row]:
    """Period, limit, time of change and who made it, of an account's own limits."""
    return await database.fetch(
        "SELECT period, limit_usd, updated_at, updated_by FROM budget_limits WHERE account = %s ORDER BY period",
        (account,),
    )


async def rename(connection: AsyncConnection, account: str, to: str) -> None:
    """Gives what an account has spent and reserved to another one that has nothing; removes its limits.

    Holds up every reservation and settlement until the transaction ends.
    """
    await connection.execute("LOCK TABLE budget_reservations IN SHARE ROW EXCLUSIVE MODE")
    values: dict[str, Any] = {"account": account, "to": to}
    await connection.execute("UPDATE budget_reservations SET account = %(to)s WHERE account = %(account)s", values)
    await connection.execute("UPDATE budget_periods SET account = %(to)s WHERE account = %(account)s", values)
    await connection.execute("UPDATE ledger SET account = %(to)s WHERE account = %(account)s", values)
    await connection.execute("DELETE FROM budget_limits WHERE account = %(account)s", values)


async def spent(database: Database, day: date, month: date) -> tuple[Decimal, Decimal]:
    """What everybody together has spent in a day and in a month."""
    row = await database.fetch_one(
        "SELECT coalesce(sum(spent_usd) FILTER (WHERE period = 'daily' AND begins = %(day)s), 0), "
        "coalesce(sum(spent_usd) FILTER (WHERE period = 'monthly' AND begins = %(month)s), 0) FROM budget_periods "
        "WHERE (period = 'daily' AND begins = %(day)s) OR (period = 'monthly' AND begins = %(month)s)",
        {"day": day, "month": month},
    )
    return (row[0], row[1]) if row else (Decimal(0), Decimal(0))
