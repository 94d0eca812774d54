"""Money is reserved before and settled after, exactly once, and every sum is that of the ledger."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from groundwork.budgets import PERIODS
from groundwork.budgets.meter import Budgets, Held
from groundwork.budgets.records import recount
from groundwork.errors import Invalid, OverBudget
from groundwork.llms import Outcome
from groundwork.settings.models import BudgetSettings
from groundwork.store.database import Database
from plugins.budgets import Clock, charge, disagreements, opened, settle, sums

_NOON = datetime(2026, 7, 15, 12, tzinfo=UTC)  # a Wednesday
_DOLLAR = BudgetSettings(daily_usd=Decimal(1))

Work = Callable[[Budgets, Database, Clock], Awaitable[None]]


def _with(url: str, work: Work, settings: BudgetSettings | None = None) -> None:
    async def run() -> None:
        clock = Clock(_NOON)
        async with opened(url, clock, settings) as (budgets, database):
            await work(budgets, database, clock)
            assert await disagreements(database) == []

    asyncio.run(run())


def test_what_is_reserved_is_settled_in_every_period_once(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        held = await budgets.reserve(charge("0.0123"))
        assert await sums(database, "ada") == dict.fromkeys(PERIODS, ("0", "0.0123"))
        await settle(budgets, held, "0.01")
        await settle(budgets, held, "0.01")
        assert await sums(database, "ada") == dict.fromkeys(PERIODS, ("0.01", "0"))
        (line,) = (await budgets.ledger.page("ada"))["items"]
        assert line == {
            "id": str(held.id),
            "at": _NOON.isoformat(),
            "user_id": "ada",
            "provider": "groq",
            "model": "llama",
            "purpose": "answer",
            "outcome": "answered",
            "input_tokens": 1200,
            "output_tokens": 80,
            "cost_usd": "0.01",
            "estimated": False,
        }

    _with(database_url, work)


def test_a_refusal_says_what_is_in_the_way_and_takes_nothing(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        await settle(budgets, await budgets.reserve(charge("0.5")), "0.25")
        await budgets.reserve(charge("0.5"))
        before = await sums(database, "ada")
        with pytest.raises(OverBudget) as refused:
            await budgets.reserve(charge("0.250001"))
        assert refused.value.details == {
            "period": "daily",
            "limit": "1",
            "spent": "0.25",
            "reserved": "0.5",
            "reset_at": "2026-07-16T00:00:00+00:00",
            "retry_after": 12 * 3600,
        }
        for word in ("daily", "ada", "$0.250001", "$1", "$0.25", "$0.5", "2026-07-16T00:00:00+00:00"):
            assert word in refused.value.message
        assert await sums(database, "ada") == before, "all or nothing: also the week and the month are as they were"
        await budgets.reserve(charge("0.25"))
        await budgets.reserve(charge("1", account="bob"))

    _with(database_url, work, _DOLLAR)


def test_a_refusal_names_the_limit_that_is_in_the_way_for_longest(database_url: str) -> None:
    async def work(budgets: Budgets, _: Database, clock: Clock) -> None:
        with pytest.raises(OverBudget) as refused:
            await budgets.reserve(charge("3"))
        assert (refused.value.details["period"], refused.value.details["reset_at"]) == (
            "monthly",
            "2026-08-01T00:00:00+00:00",
        )
        with pytest.raises(OverBudget) as refused:
            await budgets.reserve(charge("1.5"))
        assert refused.value.details["period"] == "weekly"
        clock.now = datetime(2026, 7, 30, tzinfo=UTC)  # a week that ends after its month
        with pytest.raises(OverBudget) as refused:
            await budgets.reserve(charge("3"))
        assert refused.value.details["reset_at"] == "2026-08-03T00:00:00+00:00"

    _with(database_url, work, BudgetSettings(daily_usd=Decimal(1), weekly_usd=Decimal(1), monthly_usd=Decimal(2)))


def test_what_costs_nothing_passes_any_limit_and_is_noted(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        held = await budgets.reserve(charge("0"))
        assert await database.fetch("SELECT FROM budget_reservations") == []
        for _again in range(2):
            await settle(budgets, held, "0")
        (line,) = (await budgets.ledger.page("ada"))["items"]
        assert (line["cost_usd"], line["input_tokens"]) == ("0", 1200)
        assert await sums(database, "ada") == {}
        with pytest.raises(OverBudget):
            await budgets.reserve(charge("0.000001"))

    _with(database_url, work, BudgetSettings(daily_usd=Decimal(0)))


def test_a_free_request_that_did_cost_something_counts(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        held = await budgets.reserve(charge("0"))
        for _again in range(2):
            await settle(budgets, held, "0.002")
        assert await sums(database, "ada") == dict.fromkeys(PERIODS, ("0.002", "0"))

    _with(database_url, work)


@pytest.mark.parametrize(
    ("before", "after", "alone"),
    [
        (datetime(2026, 7, 15, 23, 59, tzinfo=UTC), timedelta(minutes=2), {"daily"}),
        (datetime(2026, 7, 19, 23, 59, tzinfo=UTC), timedelta(minutes=2), {"daily", "weekly"}),
        (datetime(2026, 7, 31, 23, 59, tzinfo=UTC), timedelta(minutes=2), {"daily", "monthly"}),
    ],
)
def test_a_request_over_midnight_counts_where_it_was_reserved(
    database_url: str, before: datetime, after: timedelta, alone: set[str]
) -> None:
    async def work(budgets: Budgets, database: Database, clock: Clock) -> None:
        clock.now = before
        held = await budgets.reserve(charge("0.5"))
        clock.now += after
        await budgets.reserve(charge("0.25"))
        await settle(budgets, held, "0.5")
        rows = await database.fetch("SELECT period, spent_usd FROM budget_periods WHERE spent_usd + reserved_usd = 0.5")
        assert {period for period, spent in rows if spent == Decimal("0.5")} == alone

    _with(database_url, work)


def test_a_new_period_begins_with_nothing_spent(database_url: str) -> None:
    async def work(budgets: Budgets, _: Database, clock: Clock) -> None:
        await settle(budgets, await budgets.reserve(charge("1")), "1")
        with pytest.raises(OverBudget):
            await budgets.reserve(charge("0.01"))
        clock.now = datetime(2026, 7, 16, tzinfo=UTC)
        await budgets.reserve(charge("1"))

    _with(database_url, work, _DOLLAR)


def test_an_own_limit_goes_before_that_of_the_settings(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(
            "INSERT INTO budget_limits (account, period, limit_usd, updated_by) VALUES "
            "('ada', 'daily', 2, 't'), ('bob', 'daily', NULL, 't'), ('eve', 'monthly', 0.5, 't')"
        )

    async def work(budgets: Budgets, _: Database, __: Clock) -> None:
        await budgets.reserve(charge("2", "ada"))
        await budgets.reserve(charge("1000000", "bob"))
        for account, amount in (("ada", "0.000001"), ("eve", "0.6"), ("eve", "1.1"), ("joe", "1.1")):
            with pytest.raises(OverBudget):
                await budgets.reserve(charge(amount, account))

    _with(database_url, work, _DOLLAR)


def test_what_a_dead_process_left_is_settled_in_full_when_its_time_is_over(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, clock: Clock) -> None:
        held = await budgets.reserve(charge("0.3", seconds=100))
        clock.now += timedelta(seconds=150)
        assert await budgets.settle_lost() == 0, "it may still be at work"
        clock.now += timedelta(seconds=20)
        assert await asyncio.gather(budgets.settle_lost(), budgets.settle_lost()) in ([0, 1], [1, 0])
        assert await sums(database, "ada") == dict.fromkeys(PERIODS, ("0.3", "0"))
        await settle(budgets, held, "0.1")
        (line,) = (await budgets.ledger.page("ada"))["items"]
        assert (line["outcome"], line["cost_usd"], line["estimated"]) == ("lost", "0.3", True)

    _with(database_url, work)


def test_a_cancelled_caller_settles_all_the_same(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        held = await budgets.reserve(charge("0.3"))
        with psycopg.connect(database_url) as other:
            other.execute("SELECT FROM budget_reservations FOR UPDATE")
            settling = asyncio.create_task(settle(budgets, held, "0.2"))
            await _blocked(database)
            settling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await settling
        await budgets.close()
        assert await sums(database, "ada") == dict.fromkeys(PERIODS, ("0.2", "0"))

    _with(database_url, work)


def test_a_caller_cancelled_while_reserving_leaves_nothing_reserved(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        await settle(budgets, await budgets.reserve(charge("0.1")), "0.1")
        with psycopg.connect(database_url) as other:
            other.execute("SELECT FROM budget_periods FOR UPDATE")
            reserving = asyncio.create_task(budgets.reserve(charge("0.3")))
            await _blocked(database)
            reserving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reserving
        while (
            await database.fetch("SELECT FROM budget_reservations") or len((await budgets.ledger.page())["items"]) < 2
        ):
            await asyncio.sleep(0.01)
        assert await sums(database, "ada") == dict.fromkeys(PERIODS, ("0.1", "0"))
        assert [each["outcome"] for each in (await budgets.ledger.page())["items"]] == ["cancelled", "answered"]

    _with(database_url, work)


async def _blocked(database: Database) -> None:
    """Returns once somebody waits for a lock."""
    while not await database.fetch(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("amount", ["-0.000001", "NaN", "Infinity", "1000000000000"])
def test_what_is_no_amount_is_refused(database_url: str, amount: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        with pytest.raises(Invalid, match="no amount"):
            await budgets.reserve(charge(amount))
        assert await database.fetch("SELECT FROM budget_reservations") == []

    _with(database_url, work)


def test_whatever_a_provider_says_it_took_can_be_settled(database_url: str) -> None:
    async def work(budgets: Budgets, _: Database, __: Clock) -> None:
        held = await budgets.reserve(charge("0.1"))
        outcome: Outcome = "cut"
        await budgets.settle(
            held, outcome=outcome, input_tokens=-5, output_tokens=10**12, cost_usd=Decimal("0.0000001"), estimated=True
        )
        (line,) = (await budgets.ledger.page())["items"]
        assert (line["input_tokens"], line["output_tokens"], line["cost_usd"]) == (0, 2**31 - 1, "0.000001")

    _with(database_url, work)


def test_lines_find_their_month_whenever_it_is_made(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, clock: Clock) -> None:
        async def places() -> list[tuple[str, int]]:
            rows = await database.fetch("SELECT tableoid::regclass::text, count(*) FROM ledger GROUP BY 1 ORDER BY 1")
            return [(row[0], row[1]) for row in rows]

        async def spend(at: datetime) -> Held:
            clock.now = at
            held = await budgets.reserve(charge("0.1"))
            await settle(budgets, held, "0.1")
            return held

        await spend(datetime(2026, 7, 31, 23, 59, 59, 999999, tzinfo=UTC))
        await spend(datetime(2026, 8, 1, tzinfo=UTC))
        assert await places() == [("ledger_rest", 2)]
        clock.now = _NOON
        await asyncio.gather(budgets.make_months(), budgets.make_months())
        await budgets.make_months()
        assert await places() == [("ledger_2026_07", 1), ("ledger_2026_08", 1)]
        await spend(datetime(2026, 8, 31, 23, tzinfo=UTC))
        await spend(datetime(2026, 9, 1, 1, tzinfo=UTC))
        assert await places() == [("ledger_2026_07", 1), ("ledger_2026_08", 2), ("ledger_rest", 1)]
        assert len((await budgets.ledger.page(limit=3))["items"]) == 3
        first = await budgets.ledger.page("ada", limit=3)
        second = await budgets.ledger.page("ada", limit=3, cursor=UUID(first["next_cursor"]))
        assert (len(second["items"]), second["next_cursor"]) == (1, None)

    _with(database_url, work)


def test_sums_that_are_wrong_are_made_anew_from_the_ledger_and_what_is_open(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        await settle(budgets, await budgets.reserve(charge("0.5")), "0.3")
        await settle(budgets, await budgets.reserve(charge("0.5", "bob")), "0.2")
        await budgets.reserve(charge("0.1"))
        for damage in (
            "UPDATE budget_periods SET spent_usd = 7, reserved_usd = 3 WHERE account = 'ada'",
            "DELETE FROM budget_periods WHERE account = 'bob'",
            "INSERT INTO budget_periods VALUES ('eve', 'daily', '2026-07-15', 1, 1)",
        ):
            async with database.transaction() as connection:
                await connection.execute(damage)
        assert len(await disagreements(database)) == 7
        async with database.transaction() as connection:
            await recount(connection)
        assert await sums(database, "ada") == dict.fromkeys(PERIODS, ("0.3", "0.1"))
        assert await sums(database, "bob") == dict.fromkeys(PERIODS, ("0.2", "0"))

    _with(database_url, work)


def test_a_request_under_way_while_its_user_is_erased_is_settled_without_their_name(database_url: str) -> None:
    async def work(budgets: Budgets, database: Database, _: Clock) -> None:
        held = await budgets.reserve(charge("0.5"))
        async with database.transaction() as connection:
            await budgets.ledger.erase(connection, "ada")
        await settle(budgets, held, "0.3")
        (line,) = (await budgets.ledger.page())["items"]
        assert line["user_id"].startswith("erased:")
        assert await sums(database, line["user_id"]) == dict.fromkeys(PERIODS, ("0.3", "0"))

    _with(database_url, work)
