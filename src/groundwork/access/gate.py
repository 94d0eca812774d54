"""Who is this, and what may they do: the one place that answers it, for every face."""

import asyncio
import getpass
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

from groundwork.access.credentials import records
from groundwork.access.credentials.keys import digest
from groundwork.access.credentials.tokens import Tokens
from groundwork.access.people.users import People
from groundwork.access.scope import OF_ROLE, OPERATOR, Caller, Scope
from groundwork.errors import Refused, Unauthenticated, Unavailable
from groundwork.store.database import Database

_HOW = "Send a key as X-API-Key, or a token from /auth/token as Authorization: Bearer."


@dataclass(frozen=True)
class Gate:
    """Turns credentials into a caller."""

    database: Database
    tokens: Tokens
    people: People
    _noting: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"], repr=False)

    async def identify(self, key: str | None, authorization: str | None, address: str) -> Caller:
        """The caller of a request. Raises Unauthenticated when nothing holds."""
        scheme, _, given = (authorization or "").partition(" ")
        if key:
            return await self._by_key(key.strip(), address)
        if scheme.lower() != "bearer" or not given.strip():
            raise Unauthenticated(f"This needs to know who asks. {_HOW}")
        # Programs that speak OpenAI's protocol send their key as a bearer token.
        if given.strip().startswith("gw_"):
            return await self._by_key(given.strip(), address)
        return await self._by_token(given.strip(), address)

    async def _by_key(self, key: str, address: str) -> Caller:
        row = await records.holder_of_key(self.database, digest(key))
        if row is None:
            raise Unauthenticated(f"The key is unknown, revoked or expired. {_HOW}")
        key_id, name, prefix, scopes, collections, user, role, stale = row
        if stale:
            self._note_use(key_id)
        allowed = frozenset(scopes) & OF_ROLE[role] if role is not None else frozenset(scopes)
        return Caller(
            user=user,
            roles=frozenset({role}) if role is not None else frozenset({"admin"} if "admin" in allowed else ()),
            scopes=allowed,
            only=tuple(collections) if collections is not None else None,
            granted=user is None,
            name=f"key:{name}/{prefix}" if user is None else f"user:{user}/key:{name}/{prefix}",
            address=address,
        )

    async def _by_token(self, token: str, address: str) -> Caller:
        claims = await self.tokens.read(token)
        row = await records.holder_of_token(self.database, claims.user, claims.token)
        if row is None or row[2] != claims.generation:
            raise Unauthenticated("The token was ended by a log-out, or its account was changed: sign in again.")
        name, role, _ = row
        return Caller(
            user=name,
            roles=frozenset({role}),
            scopes=OF_ROLE[role],
            name=f"user:{name}",
            address=address,
            session=claims.token,
        )

    def _note_use(self, key_id: UUID) -> None:
        """Not waited for: nobody's request is slower for it, or fails because of it."""

        async def note() -> None:
            with suppress(Unavailable):
                await records.key_used(self.database, key_id)

        task = asyncio.create_task(note())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def local(self, name: str | None) -> Caller:
        """The command line: the operator, whom the rights of the data directory have let in, or `name` as they would be.

        Raises NotFound for a name nobody has, Refused for somebody who is shut out.
        """
        operator = replace(OPERATOR, name=f"operator:{_account()}")
        if name is None:
            return operator
        person = await self.people.show(name)
        if person["status"] == "disabled":
            raise Refused(f"{person['name']} is disabled and may do nothing.")
        role = person["role"]
        return Caller(
            user=person["name"],
            roles=frozenset({role}),
            scopes=OF_ROLE[role],
            name=f"{operator.name} as user:{person['name']}",
        )


def demand(caller: Caller, scope: Scope) -> None:
    """Raises Refused unless `caller` may do what `scope` stands for."""
    if scope not in caller.scopes:
        raise Refused(f"This needs the scope {scope!r}, which {caller.name} does not have.")


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        return "unknown"
