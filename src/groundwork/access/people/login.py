"""Signing in with name and password, so that guessing gets slower and slower and tells nothing.

A name that does not exist is treated like one that does: the same work, the same answer, the same blocks. A failure is
counted before the password is looked at and taken back when it was right, so that guesses side by side all count.
"""

from dataclasses import dataclass
from uuid import UUID

from groundwork.access.audit.log import note
from groundwork.access.names import plain_name
from groundwork.access.people import records
from groundwork.access.people.passwords import Passwords
from groundwork.access.scope import Caller
from groundwork.errors import Invalid, TooMany, Unauthenticated
from groundwork.store.database import Database

_FREE_FOR_ACCOUNT, _FREE_FOR_ADDRESS = 5, 30
_LONGEST_BLOCK_SECONDS = 900.0
_WRONG = "The name or the password is wrong."


@dataclass(frozen=True)
class SignedIn:
    """Who signed in."""

    user: UUID
    name: str
    role: str
    generation: int


@dataclass(frozen=True)
class Login:
    """The way in with a password."""

    database: Database
    passwords: Passwords

    async def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """Who it is. Raises Unauthenticated, TooMany while a block of the account or the address lasts."""
        account = _account(name)
        await self._count(account, address)
        row = await records.credentials(self.database, account)
        right = await self.passwords.matches(password, row[1] if row is not None and row[2] == "active" else None)
        if row is None or not right:
            by = Caller(name=f"user:{account}" if row is not None else "unknown", address=address)
            async with self.database.transaction() as connection:
                await note(connection, by.deed("login_failed", account if row is not None else "unknown"))
            raise Unauthenticated(_WRONG)
        by = Caller(name=f"user:{account}", address=address)
        async with self.database.transaction() as connection:
            await records.forget_failures(connection, "account", account)
            await records.uncount_failure(connection, "address", address)
            await records.logged_in(connection, row[0])
            await note(connection, by.deed("login", account))
        return SignedIn(row[0], account, row[3], row[4])

    async def forget_old_failures(self) -> None:
        """Forgets failures of more than a day ago, which count no more."""
        async with self.database.transaction() as connection:
            await records.forget_old_failures(connection)

    async def _count(self, account: str, address: str) -> None:
        async with self.database.transaction() as connection:
            await records.lock_attempts(connection, account, address)
            seconds = await records.blocked_seconds(connection, [("account", account), ("address", address)])
            if seconds <= 0:
                await records.count_failure(connection, "account", account, _FREE_FOR_ACCOUNT, _LONGEST_BLOCK_SECONDS)
                await records.count_failure(connection, "address", address, _FREE_FOR_ADDRESS, _LONGEST_BLOCK_SECONDS)
        if seconds > 0:
            wait = int(seconds) + 1
            raise TooMany(f"Too many failed logins: wait {wait} s and try again.", retry_after=wait)


def _account(name: str) -> str:
    try:
        return plain_name(name)
    except Invalid:
        return "\N{REPLACEMENT CHARACTER}"  # no account has this name
