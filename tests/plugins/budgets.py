"""Spending money in tests, and asking the record whether every sum is right."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from groundwork.budgets.meter import Budgets, Charge, Held
from groundwork.budgets.money import plain
from groundwork.clock import Clock as AnyClock
from groundwork.clock import utc_now
from groundwork.settings import DatabaseSettings
from groundwork.settings.models import BudgetSettings
from groundwork.store.database import Database


@dataclass
class Clock:
    """A clock that stands until it is set."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def opened(
    url: str, clock: AnyClock = utc_now, settings: BudgetSettings | None = None, connections: int = 10
) -> AsyncGenerator[tuple[Budgets, Database]]:
    """Budgets on a database, by their own clock if need be."""
    database = Database(url, DatabaseSettings(pool_max=connections))
    await database.open()
    budgets = Budgets(database, settings or BudgetSettings(), clock)
    try:
        yield budgets, database
    finally:
        await budgets.close()
        await database.close()


def charge(amount: str, account: str = "ada", seconds: float = 300.0) -> Charge:
    """A request that may cost so much."""
    return Charge(account, "groq", "llama", "answer", Decimal(amount), 1200, seconds)


async def settle(budgets: Budgets, held: Held, cost: str) -> None:
    """Says that a request was answered, for so much."""
    await budgets.settle(
        held, outcome="answered", input_tokens=1200, output_tokens=80, cost_usd=Decimal(cost), estimated=False
    )


async def sums(database: Database, account: str) -> dict[str, tuple[str, str]]:
    """What was spent and reserved, by the newest of each kind of period."""
    rows = await database.fetch(
        "SELECT period, spent_usd, reserved_usd FROM budget_periods WHERE account = %s ORDER BY begins", (account,)
    )
    return {period: (plain(spent), plain(reserved)) for period, spent, reserved in rows}


_FACTS = """
SELECT account, period, begins, sum(spent) AS spent, sum(reserved) AS reserved FROM (
    SELECT account, period, begins, spent_usd AS spent, reserved_usd AS reserved FROM budget_periods
    UNION ALL SELECT account, p, date_trunc(f, at AT TIME ZONE 'UTC')::date, -cost_usd, 0 FROM ledger
        CROSS JOIN (VALUES ('daily', 'day'), ('weekly', 'week'), ('monthly', 'month')) AS v(p, f)
    UNION ALL SELECT account, p, date_trunc(f, at AT TIME ZONE 'UTC')::date, 0, -amount_usd FROM budget_reservations
        CROSS JOIN (VALUES ('daily', 'day'), ('weekly', 'week'), ('monthly', 'month')) AS v(p, f)
) AS facts GROUP BY 1, 2, 3 HAVING sum(spent) <> 0 OR sum(reserved) <> 0
"""


async def disagreements(database: Database) -> list[tuple[object, ...]]:
    """Where a sum is not that of the ledger and the open reservations: nowhere."""
    return await database.fetch(_FACTS)
