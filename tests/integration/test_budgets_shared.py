"""Many requests, many processes, one limit: what is allowed is spent and not a micro-dollar more, whoever dies."""

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from groundwork.budgets.meter import Budgets, Held
from groundwork.budgets.records import recount
from groundwork.clock import utc_now
from groundwork.errors import OverBudget, StoreUnavailable
from groundwork.settings.models import BudgetSettings
from groundwork.store.database import Database
from groundwork.store.embedded import EmbeddedServer
from groundwork.store.migrate import migrate
from plugins.budget_spender import LIMIT, Spender
from plugins.budgets import Clock, charge, disagreements, opened, settle, sums
from plugins.embedded_process import kill, postgres_processes

_AMOUNT, _COST = "0.012345", "0.004321"
_ALLOWED = 50
_LATER = timedelta(minutes=5)


async def _spent(url: str) -> tuple[Decimal, Decimal, dict[str, int]]:
    """Spent and reserved this week, and lines of the ledger by their outcome, once all that was lost is settled."""
    async with opened(url, lambda: utc_now() + _LATER) as (budgets, database):
        await budgets.settle_lost()
        assert await disagreements(database) == []
        row = await database.fetch_one(
            "SELECT sum(spent_usd), sum(reserved_usd) FROM budget_periods WHERE period = 'weekly' AND account = 'ada'"
        )
        assert row is not None
        lines = await database.fetch("SELECT outcome, count(*) FROM ledger GROUP BY outcome")
        return row[0], row[1], dict(lines)


def test_two_hundred_requests_of_two_processes_share_a_limit_exactly_and_one_dies(database_url: str) -> None:
    assert LIMIT.weekly_usd is not None
    assert Decimal(_AMOUNT) * _ALLOWED <= LIMIT.weekly_usd < Decimal(_AMOUNT) * (_ALLOWED + 1)
    both = [Spender(database_url, "ada", _AMOUNT, _COST, 100) for _ in range(2)]
    assert [each.hears() for each in both] == ["ready", "ready"]
    for each in both:
        each.told()
    given_to = [int(each.hears()) for each in both]
    assert sum(given_to) == _ALLOWED

    dying, living = sorted(both, key=lambda each: -given_to[both.index(each)])
    dying.told()
    settled = [dying.hears() for _ in range(3)].count("settled")
    settled += dying.end(kill=True)
    living.told()
    settled += living.end()
    spent, reserved, lines = asyncio.run(_spent(database_url))
    assert lines["answered"] + lines["lost"] == _ALLOWED
    assert lines["answered"] in {settled, settled + 1}, "one may have been settled and not said"
    assert spent == lines["answered"] * Decimal(_COST) + lines["lost"] * Decimal(_AMOUNT)
    assert spent <= LIMIT.weekly_usd
    assert reserved == 0


def test_nobody_waits_in_a_circle(database_url: str) -> None:
    async def run() -> None:
        midnight = datetime(2026, 8, 1, tzinfo=UTC)
        chance = random.Random(7)
        async with opened(
            database_url, lambda: midnight + timedelta(seconds=chance.choice([-1, 1])), connections=8
        ) as (budgets, database):

            async def spend(account: str) -> None:
                for _ in range(12):
                    held = await budgets.reserve(charge("0.003", account))
                    await settle(budgets, held, "0.002")

            async def disturb() -> None:
                for _ in range(4):
                    async with database.transaction() as connection:
                        await budgets.ledger.erase(connection, "ada")
                    async with database.transaction() as connection:
                        await recount(connection)

            await asyncio.gather(*(spend(each) for each in ("ada", "ada", "ada", "bob", "bob", "eve")), disturb())
            await budgets.close()
            assert await disagreements(database) == []
            row = await database.fetch_one("SELECT sum(spent_usd) FROM budget_periods WHERE period = 'monthly'")
            assert row == (Decimal("0.002") * 12 * 6,)
            assert await database.fetch("SELECT FROM budget_reservations") == []
            deadlocks = await database.fetch_one(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            )
            assert deadlocks == (0,)

    asyncio.run(run())


_MIDNIGHT = datetime(2026, 8, 31, tzinfo=UTC)  # a Monday; the month ends a day later
_LIMITS = BudgetSettings(daily_usd=Decimal("0.5"), weekly_usd=Decimal("0.9"), monthly_usd=Decimal("1.2"))
_amounts = st.integers(0, 400_000).map(lambda micro: Decimal(micro) / 1_000_000)
_step = st.one_of(
    st.tuples(st.just("reserve"), _amounts),
    st.tuples(st.just("settle"), st.fractions(0, 1)),
    st.tuples(st.just("lose"), st.none()),
)
_round = st.tuples(st.integers(0, 30), st.lists(_step, min_size=1, max_size=6))


class _World:
    """One account, what it holds, and what every sum has to be."""

    def __init__(self, budgets: Budgets, database: Database, clock: Clock, account: str) -> None:
        self.budgets, self.database, self.clock, self.account = budgets, database, clock, account
        self.held: list[Held] = []

    async def step(self, what: str, value: object) -> None:
        """One thing somebody does."""
        if what == "reserve":
            assert isinstance(value, Decimal)
            with suppress(OverBudget):
                self.held.append(await self.budgets.reserve(charge(str(value), self.account, seconds=3600)))
        elif what == "settle" and self.held:
            held = self.held.pop(0)
            cost = str((held.amount_usd * Decimal(str(float(value)))).quantize(Decimal("0.000001"), "ROUND_DOWN"))  # type: ignore[arg-type]
            await asyncio.gather(settle(self.budgets, held, cost), settle(self.budgets, held, cost))
        elif what == "lose":
            await self.budgets.settle_lost()

    async def holds(self) -> None:
        """Every sum is that of the ledger and the reservations, and below its limit."""
        assert await disagreements(self.database) == []
        for period, limit in (("daily", "0.5"), ("weekly", "0.9"), ("monthly", "1.2")):
            over = await self.database.fetch(
                "SELECT begins FROM budget_periods WHERE period = %s AND spent_usd + reserved_usd > %s",
                (period, Decimal(limit)),
            )
            assert over == []


def test_whatever_is_reserved_settled_and_lost_in_whatever_order_every_sum_is_right(database_url: str) -> None:
    played: list[str] = []

    clock = Clock(_MIDNIGHT)

    async def play(world: _World, rounds: list[tuple[int, list[tuple[str, object]]]]) -> None:
        clock.now = _MIDNIGHT - timedelta(hours=2)
        for hours, steps in rounds:
            clock.now += timedelta(hours=hours)
            await asyncio.gather(*(world.step(*each) for each in steps))
            await world.holds()
        clock.now += timedelta(days=1)
        await world.budgets.settle_lost()
        await world.holds()
        assert await world.database.fetch("SELECT FROM budget_reservations") == []

    @examples(
        max_examples=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(_round, min_size=1, max_size=6))
    def check(rounds: list[tuple[int, list[tuple[str, object]]]]) -> None:
        played.append(f"user{len(played)}")
        runner.run(play(_World(budgets, database, clock, played[-1]), rounds))

    with asyncio.Runner() as runner:
        books = opened(database_url, clock, _LIMITS, connections=4)
        budgets, database = runner.run(books.__aenter__())
        check()
        runner.run(books.__aexit__(None, None, None))
    assert len(played) >= 20


def test_a_database_that_dies_between_reserving_and_settling(data_dir: Path) -> None:
    async def run(url: str) -> None:
        async with opened(url) as (budgets, database):
            await settle(budgets, await budgets.reserve(charge("0.5")), "0.1")
            held = await budgets.reserve(charge("0.5"))
            kill(postgres_processes(data_dir))
            await asyncio.wait_for(settle(budgets, held, "0.3"), 20)
            await _until_answers(database)
            for _ in range(1000):
                if await database.fetch("SELECT FROM budget_reservations") == []:
                    break
                await asyncio.sleep(0.05)
            assert await sums(database, "ada") == dict.fromkeys(("daily", "weekly", "monthly"), ("0.4", "0"))
            assert await disagreements(database) == []

    with EmbeddedServer(data_dir, 60.0) as server:
        migrate(server.url)
        asyncio.run(run(server.url))


async def _until_answers(database: Database) -> None:
    for _ in range(600):
        try:
            return await database.ping()
        except StoreUnavailable:
            await asyncio.sleep(0.05)
    pytest.fail("PostgreSQL did not come back")
