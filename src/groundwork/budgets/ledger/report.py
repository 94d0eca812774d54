"""What the ledger tells, to whom it may concern."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from groundwork.budgets.ledger import records
from groundwork.budgets.money import plain, shown
from groundwork.budgets.periods import begins
from groundwork.clock import Clock, utc_now
from groundwork.store.database import Database, Row


@dataclass(frozen=True)
class Ledger:
    """Reads the ledger."""

    database: Database
    clock: Clock = utc_now

    async def page(
        self,
        account: str | None = None,
        since: datetime | None = None,
        cursor: UUID | None = None,
        limit: int = 100,
    ) -> dict[str, Any]:
        """Lines, newest first, a page at a time; of one account, or all."""
        rows = await records.page(self.database, account, since, cursor, limit + 1)
        return {
            "items": [body(row) for row in rows[:limit]],
            "next_cursor": str(rows[limit - 1][0]) if len(rows) > limit else None,
        }

    async def spent(self) -> dict[str, str]:
        """What everybody together has spent today and this month, in US dollars."""
        at = self.clock()
        today, month = await records.spent(self.database, begins("daily", at), begins("monthly", at))
        return {"today": plain(today), "this_month": plain(month)}

    async def everything_of(self, account: str) -> dict[str, Any]:
        """Everything that is stored about what somebody may spend and has spent."""
        return {
            "budget_limits": [
                {"period": period, "limit": shown(limit), "updated_at": at.isoformat(), "updated_by": by}
                for period, limit, at, by in await records.limits_of(self.database, account)
            ],
            "ledger": [body(row) for row in await records.lines_of(self.database, account)],
        }

    async def erase(self, connection: AsyncConnection, account: str) -> None:
        """What was spent stays spent, by nobody anyone could name; limits go."""
        await records.rename(connection, account, f"erased:{secrets.token_hex(8)}")


def body(row: Row) -> dict[str, Any]:
    """A line as every face shows it."""
    key, at, account, provider, model, purpose, outcome, input_tokens, output_tokens, cost, estimated = row
    return {
        "id": str(key),
        "at": at.isoformat(),
        "user_id": account,
        "provider": provider,
        "model": model,
        "purpose": purpose,
        "outcome": outcome,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cost_usd": plain(cost),
        "estimated": estimated,
    }
