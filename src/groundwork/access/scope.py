"""The scope of a caller: the collections it may read. What is outside does not exist, as far as the caller can tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from groundwork.access import records
from groundwork.errors import Invalid, NotFound
from groundwork.store.database import Database


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    user: str | None = None
    roles: frozenset[str] = frozenset()
    operator: bool = False
    """May read everything: the command line on the machine that owns the data."""


ANYONE = Caller()
"""Nobody in particular; reads what everyone may read."""
OPERATOR = Caller(operator=True)


async def readable(database: Database, caller: Caller, names: Sequence[str] | None = None) -> dict[str, UUID]:
    """The collections `caller` may read, by name: those named, or all but the hidden ones (a dot begins their names).

    Raises NotFound for a name that is not there or that the caller may not read; it cannot tell which.
    """
    found = await records.readable(database, caller.user, sorted(caller.roles), caller.operator, names)
    if names is None:
        return {name: value for name, value in found.items() if not name.startswith(".")}
    missing = [name for name in names if name not in found]
    if missing:
        raise NotFound(
            f"There is no collection named {missing[0]!r}. `groundwork collections list` lists those there are."
        )
    return found


async def all_readable(database: Database, caller: Caller) -> list[UUID]:
    """Every collection `caller` may read, the hidden ones too, for looking up a document by its id."""
    return list((await records.readable(database, caller.user, sorted(caller.roles), caller.operator, None)).values())


@dataclass(frozen=True)
class Readers:
    """Who may read a collection: everyone, or those named."""

    everyone: bool
    roles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def body(self) -> dict[str, object]:
        """As every face shows it."""
        return {"everyone": self.everyone, "roles": list(self.roles), "users": list(self.users)}


async def readers(database: Database, collection: str) -> Readers:
    """Who may read a collection. Raises NotFound."""
    rows = await records.readers(database, collection)
    if not rows:
        raise NotFound(
            f"There is no collection named {collection!r}. `groundwork collections list` lists those there are."
        )
    named = {kind: tuple(name for _, each, name in rows if each == kind) for kind in ("role", "user")}
    return Readers(rows[0][0], named["role"], named["user"])


async def set_readers(database: Database, collection: str, chosen: Readers) -> Readers:
    """Changes who may read a collection; holds for the next search. Raises NotFound, Invalid."""
    if chosen.everyone and (chosen.roles or chosen.users):
        raise Invalid("A collection is readable by everyone, or by the roles and users you name; not both.")
    await readers(database, collection)
    async with database.transaction() as connection:
        await records.set_readers(connection, collection, chosen.everyone, chosen.roles, chosen.users)
    return await readers(database, collection)
