"""What accounts may spend, and what is left of it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from groundwork.access.audit.log import Deed, note
from groundwork.access.names import plain_name
from groundwork.access.scope import Caller
from groundwork.budgets import Period, records
from groundwork.budgets.money import micro, plain, shown
from groundwork.budgets.periods import begins, resets_at
from groundwork.budgets.records import Sum
from groundwork.clock import Clock
from groundwork.errors import Invalid, NotFound, Refused
from groundwork.store.database import Database, Row


@dataclass(frozen=True)
class Limits:
    """Limits and what was spent of them."""

    database: Database
    defaults: records.Defaults
    clock: Clock

    async def show(self, name: str, period: Period, caller: Caller) -> dict[str, Any]:
        """What somebody may still spend in this period. Raises Refused for somebody else's budget, NotFound."""
        account = await self.account(name, caller)
        at = self.clock()
        sums = await records.sums(self.database, account, at, self.defaults)
        one = next(each for each in sums if each.period == period)
        return {**_body(account, one), "resets_at": resets_at(period, at).isoformat()}

    async def set(self, name: str, period: Period, limit: Decimal | None, by: Caller) -> dict[str, Any]:
        """Gives somebody a limit of their own, in US dollars; None: no limit at all. Raises NotFound, Invalid."""
        account = await self._known(name)
        exact = None if limit is None else micro(limit)
        async with self.database.transaction() as connection:
            before = await records.own_limit(connection, account, period)
            await records.set_limit(connection, account, period, exact, by.name)
            await note(connection, _deed(by, account, period, before, (exact,)))
        return await self.show(account, period, by)

    async def remove(self, name: str, period: Period, by: Caller) -> dict[str, Any]:
        """Lets the limit of the settings hold for somebody again. Raises NotFound."""
        account = await self._known(name)
        async with self.database.transaction() as connection:
            before = await records.own_limit(connection, account, period)
            if before is not None:
                await records.remove_limit(connection, account, period)
                await note(connection, _deed(by, account, period, before, None))
        return await self.show(account, period, by)

    async def top(self, period: Period, limit: int = 10) -> dict[str, Any]:
        """Who has spent most in this period."""
        at = self.clock()
        first = begins(period, at)
        rows = await records.top(self.database, period, first, limit)
        return {
            "period": period,
            "begins": first.isoformat(),
            "resets_at": resets_at(period, at).isoformat(),
            "items": [
                {"rank": rank, "user_id": account, "spent": plain(spent), "reserved": plain(reserved)}
                for rank, (account, spent, reserved) in enumerate(rows, start=1)
            ],
        }

    async def account(self, name: str, caller: Caller) -> str:
        """The account a name stands for, when the caller may look at it. Raises Refused, NotFound."""
        account = _account(name)
        if account == caller.account:
            return account
        if "admin" not in caller.scopes:
            raise Refused(
                f"You may look at your own budget, which is that of {caller.account!r}. Others' are for admins."
            )
        return await self._known(name)

    async def _known(self, name: str) -> str:
        account = _account(name)
        if not await records.is_known(self.database, account):
            raise NotFound(
                f"There is no user named {name!r}, nor anybody who has spent under that name. `groundwork users list` lists "
                "people; a program's key spends as 'key:' and the key's name."
            )
        return account


def _account(name: str) -> str:
    """The account a name stands for: a user's name in any spelling, or another account (`key:nightly`) as it is."""
    try:
        return name if ":" in name else plain_name(name)
    except Invalid:  # nobody's name
        return name


def _body(account: str, one: Sum) -> dict[str, Any]:
    left = None if one.limit is None else max(Decimal(0), one.limit - one.spent - one.reserved)
    return {
        "user_id": account,
        "period": one.period,
        "limit": shown(one.limit),
        "own_limit": one.own,
        "spent": plain(one.spent),
        "reserved": plain(one.reserved),
        "remaining": shown(left),
    }


def _deed(by: Caller, account: str, period: Period, before: Row | None, after: Row | None) -> Deed:
    return by.deed("budget_changed", account, period=period, before=_words(before), after=_words(after))


def _words(limit: Row | None) -> str:
    """A limit of one's own as the audit log names it."""
    if limit is None:
        return "default"
    return "none" if limit[0] is None else plain(limit[0])
