"""The account of somebody the provider vouches for: found by who they are to the provider, joined, or made.

A name alone opens nothing: an account that was here before is joined only by who has its name as a verified address.
"""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from groundwork.access.audit.log import note
from groundwork.access.federation import records
from groundwork.access.federation.person import Person
from groundwork.access.names import plain_name
from groundwork.access.people import records as people
from groundwork.access.people.login import SignedIn
from groundwork.access.scope import Caller
from groundwork.clock import new_id
from groundwork.errors import Invalid, Refused
from groundwork.settings import RoleName
from groundwork.store.database import Database

_ACTOR = "sign-on"


@dataclass(frozen=True)
class Accounts:
    """Accounts of people who sign in with the provider."""

    database: Database
    default_role: RoleName

    async def sign_in(self, person: Person, address: str) -> SignedIn:
        """The account, made when there is none. Raises Refused for one that is disabled or somebody else's."""
        by = Caller(name=_ACTOR, address=address)
        async with self.database.transaction() as connection:
            await records.lock(connection)
            row = await records.by_subject(connection, person.issuer, person.subject)
            key, name, status, role, _ = row or await self._join_or_add(connection, person, by)
            if status != "active":
                raise Refused(f"The account {name!r} is disabled. Ask an admin to enable it.", account=name)
            role = await self._take_role(connection, name, role, person.role, by)
            await people.logged_in(connection, key)
            await note(connection, Caller(name=f"user:{name}", address=address).deed("login", name, via="oidc"))
            return SignedIn(key, name, role, await records.generation(connection, key))

    async def _join_or_add(self, connection: AsyncConnection, person: Person, by: Caller) -> tuple[Any, ...]:
        there = await records.by_name(connection, person.issuer, person.name)
        if there is not None:
            *account, taken = there
            _refuse_others(person, taken)
        else:
            account = await self._add(connection, person, by)
        await records.link(connection, person.issuer, person.subject, account[0])
        await note(connection, by.deed("identity_linked", person.name, issuer=person.issuer, identity=person.subject))
        return tuple(account)

    async def _add(self, connection: AsyncConnection, person: Person, by: Caller) -> list[Any]:
        key, role = new_id(), person.role or self.default_role
        if not await people.insert(connection, key, person.name, role, None):
            raise Refused(f"An account named {person.name!r} was made this moment. Sign in again.", account=person.name)
        await note(connection, by.deed("user_added", person.name, role=role, via="oidc"))
        return [key, person.name, "active", role, 1]

    async def _take_role(
        self, connection: AsyncConnection, name: str, before: RoleName, role: RoleName | None, by: Caller
    ) -> RoleName:
        """The role the provider names, unless that would leave no admin; the present one where it names none."""
        if role is None or role == before:
            return before
        if before == "admin" and not await people.other_active_admins(connection, name):
            return before
        await people.set_role(connection, name, role)
        await note(connection, by.deed("role_changed", name, before=before, after=role, via="oidc"))
        return role


def _refuse_others(person: Person, taken: bool) -> None:
    if taken:
        raise Refused(
            f"The account {person.name!r} belongs to somebody else at the sign-in provider. Ask an admin: when that is you, "
            "`groundwork users erase` makes room for a new account.",
            account=person.name,
        )
    if not _is_same(person.email, person.name):
        raise Refused(
            f"There is an account {person.name!r} already, and the sign-in provider does not show that it is yours: its "
            "name is not your verified e-mail address. Ask an admin to erase it or to choose another claim for names.",
            account=person.name,
        )


def _is_same(email: str, name: str) -> bool:
    try:
        return plain_name(email) == name
    except Invalid:
        return False
