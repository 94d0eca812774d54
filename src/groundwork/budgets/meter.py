"""Money is reserved before a request to a paid model and settled after it, exactly once, whatever happens in between."""

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

import structlog

from groundwork.budgets import PERIODS, Period, records
from groundwork.budgets.ledger.months import make_months
from groundwork.budgets.ledger.report import Ledger
from groundwork.budgets.limits import Limits
from groundwork.budgets.money import micro, plain
from groundwork.budgets.periods import resets_at
from groundwork.budgets.records import Reservation, Result, Sum
from groundwork.clock import Clock, new_id, utc_now
from groundwork.errors import Busy, GroundworkError, OverBudget, StoreUnavailable
from groundwork.llms import Outcome
from groundwork.settings.models import BudgetSettings
from groundwork.store.database import Database

log = structlog.get_logger()

T = TypeVar("T")

_GRACE_SECONDS = 60.0
"""After the longest time a request may take: clocks of two machines differ, and a settlement may have to be tried again."""
_PATIENCE_SECONDS = 2.0
_AGAIN_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_LAST_WORD_SECONDS = 5.0
_LOST_AT_ONCE = 500
_MOST_TOKENS = 2**31 - 1
_ADJECTIVES: dict[Period, str] = {"daily": "today", "weekly": "this week", "monthly": "this month"}


@dataclass(frozen=True)
class Charge:
    """A request to a model that somebody has to be able to pay."""

    account: str
    """Who pays, as `Caller.account` names them."""
    provider: str
    model: str
    purpose: str
    """What it is for, such as `answer`."""
    amount_usd: Decimal
    """The most it can cost; 0 for a model that costs nothing."""
    input_tokens: int
    seconds: float
    """The longest it can take."""


Held = Reservation
"""Money that is reserved; to be settled once the request has ended, however that was."""


class Budgets:
    """The one meter: every request to a model is reserved and settled here."""

    def __init__(self, database: Database, settings: BudgetSettings, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._defaults: records.Defaults = {
            "daily": settings.daily_usd,
            "weekly": settings.weekly_usd,
            "monthly": settings.monthly_usd,
        }
        self.limits = Limits(database, self._defaults, clock)
        self.ledger = Ledger(database, clock)
        self._going_on: set[asyncio.Task[Any]] = set()

    async def reserve(self, charge: Charge) -> Held:
        """Sets aside what a request may cost, in the day, week and month of this moment, or in none of them.

        What costs nothing is let through. A caller that is cancelled leaves nothing reserved. Raises OverBudget, which says
        which limit is in the way and when it begins anew, and StoreUnavailable.
        """
        at = self._clock()
        held = Reservation(
            new_id(),
            charge.account,
            at,
            at + timedelta(seconds=charge.seconds + _GRACE_SECONDS),
            micro(charge.amount_usd),
            charge.provider,
            charge.model,
            charge.purpose,
            _tokens(charge.input_tokens),
        )
        if not held.amount_usd:
            return held
        taking = self._begin(self._take(held))
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._begin(self._give_back(taking, held))
            raise
        return held

    async def settle(
        self,
        held: Held,
        *,
        outcome: Outcome,
        input_tokens: int,
        output_tokens: int,
        cost_usd: Decimal,
        estimated: bool,
    ) -> None:
        """Turns a reservation into what the request cost, once: a second call does nothing.

        Goes on when its caller is cancelled. Waits no longer than two seconds for the database; after that it is tried again
        for half a minute without the caller, and what cannot be settled then is settled as lost when its time is over.
        """
        result = Result(outcome, _tokens(input_tokens), _tokens(output_tokens), micro(cost_usd), estimated)
        settling = self._begin(self._insist(held, result))
        await asyncio.wait({settling}, timeout=_PATIENCE_SECONDS)
        if settling.done():
            settling.result()

    async def settle_lost(self) -> int:
        """Settles what was reserved by processes that have died, at the whole amount; how many requests those were.

        Whether they were sent is not known: nothing may be spent twice. Raises StoreUnavailable.
        """
        settled = 0
        while ids := await records.expired(self._database, self._clock(), _LOST_AT_ONCE):
            for each in ids:
                async with self._database.transaction() as connection:
                    row = await records.settle(connection, each, None)
                if row is not None:
                    account, provider, model, cost = row
                    log.warning(
                        "a request was never settled; all that was reserved for it counts as spent",
                        account=account,
                        provider=provider,
                        model=model,
                        cost_usd=plain(cost),
                    )
                    settled += 1
        return settled

    async def make_months(self) -> None:
        """Makes the ledger's partitions of this month and the next. Raises StoreUnavailable."""
        await make_months(self._database, self._clock())

    async def close(self) -> None:
        """Waits a moment for what is being settled."""
        if self._going_on:
            await asyncio.wait(self._going_on, timeout=_LAST_WORD_SECONDS)
        for left in list(self._going_on):
            left.cancel()

    async def _take(self, held: Held) -> None:
        try:
            async with self._database.transaction() as connection:
                if not await records.reserve(connection, held, self._defaults):
                    raise _NoRoomError
        except _NoRoomError:
            await self._look_closely(held)

    async def _look_closely(self, held: Held) -> None:
        """Reserves or refuses while nobody else can change the sums: a refusal tells what was true of it."""
        async with self._database.transaction() as connection:
            sums = await records.lock(connection, held.account, held.at, self._defaults)
            full = [each for each in sums if each.limit is not None and _taken(each) + held.amount_usd > each.limit]
            if full:
                raise self._refusal(held, full)
            if not await records.reserve(connection, held, dict.fromkeys(PERIODS)):
                raise Busy(f"The limit of {held.account} was changed this moment. Try again.")

    def _refusal(self, held: Held, full: list[Sum]) -> OverBudget:
        """Names the limit that is in the way for longest."""
        worst = max(full, key=lambda each: resets_at(each.period, held.at))
        assert worst.limit is not None
        reset = resets_at(worst.period, held.at)
        details = {
            "period": worst.period,
            "limit": plain(worst.limit),
            "spent": plain(worst.spent),
            "reserved": plain(worst.reserved),
            "reset_at": reset.isoformat(),
        }
        return OverBudget(
            f"The {worst.period} budget of {held.account} has no room for this: it may take up to ${plain(held.amount_usd)}, "
            f"the limit is ${details['limit']}, ${details['spent']} are spent {_ADJECTIVES[worst.period]} and "
            f"${details['reserved']} reserved for requests under way. It begins anew at {details['reset_at']}.",
            **details,
            retry_after=math.ceil((reset - held.at).total_seconds()),
        )

    async def _insist(self, held: Held, result: Result) -> None:
        for seconds in (*_AGAIN_SECONDS, None):
            try:
                await self._settle(held, result)
            except StoreUnavailable as error:
                if seconds is None:
                    log.error("a request could not be settled", account=held.account, reason=error.message)
                    return
                await asyncio.sleep(seconds)
            else:
                return

    async def _settle(self, held: Held, result: Result) -> None:
        async with self._database.transaction() as connection:
            if held.amount_usd:
                await records.settle(connection, held.id, result)
            else:
                await records.note_unreserved(connection, held, result)

    async def _give_back(self, taking: "asyncio.Task[None]", held: Held) -> None:
        try:
            await taking
        except GroundworkError:
            return
        await self._insist(held, Result("cancelled", 0, 0, Decimal(0), False))

    def _begin(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Runs it to its end, whatever becomes of who asked for it."""
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        task.add_done_callback(_hear)
        return task


class _NoRoomError(Exception):
    """Undoes a transaction."""


def _taken(each: Sum) -> Decimal:
    return each.spent + each.reserved


def _tokens(said: int) -> int:
    """A number of tokens as a column holds it; a provider may say anything."""
    return max(0, min(said, _MOST_TOKENS))


def _hear(task: "asyncio.Task[Any]") -> None:
    """Its fault is told to whoever waits for it; nobody may."""
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, GroundworkError):
        log.error("settling failed", exc_info=error)
