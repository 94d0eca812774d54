"""Money is reserved before and settled after, exactly once, and every sum is that of the ledger."""

import asyncio
from datetime import UTC, datetime

from plugins.budgets import charge, disagreements, opened, settle, sums

_NOON = datetime(2026, 7, 15, 12, tzinfo=UTC)


def test_what_is_reserved_is_settled_in_every_period(database_url: str) -> None:
    async def work() -> None:
        async with opened(database_url) as (budgets, database):
            held = await budgets.reserve(charge("0.0123"))
            assert await sums(database, "ada") == dict.fromkeys(("daily", "weekly", "monthly"), ("0", "0.0123"))
            await settle(budgets, held, "0.01")
            assert await sums(database, "ada") == dict.fromkeys(("daily", "weekly", "monthly"), ("0.01", "0"))
            await settle(budgets, held, "0.01")
            assert await disagreements(database) == []
            (line,) = (await budgets.ledger.page("ada"))["items"]
            assert (line["cost_usd"], line["outcome"], line["model"]) == ("0.01", "answered", "llama")

    asyncio.run(work())
