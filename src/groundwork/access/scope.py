"""The scope of a caller: the collections it may read. What is outside does not exist, as far as the caller can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from groundwork.access import records
from groundwork.access.audit.log import Deed
from groundwork.access.names import plain_name
from groundwork.errors import Invalid, NotFound
from groundwork.store.database import Database

Scope = Literal["search", "ask", "ingest", "admin"]
"""What may be done: find passages and look at documents; ask; bring documents in and remove them; everything else."""

SCOPES: tuple[Scope, ...] = ("search", "ask", "ingest", "admin")
OF_ROLE: Mapping[str, frozenset[str]] = {
    "admin": frozenset(SCOPES),
    "reviewer": frozenset({"search", "ask", "ingest"}),
    "member": frozenset({"search", "ask"}),
}
"""What each role may do."""


@dataclass(frozen=True)
class Caller:
    """Who asks, what they may do, and what they may read."""

    user: str | None = None
    roles: frozenset[str] = frozenset()
    operator: bool = False
    """Reads everything: the command line on the machine that owns the data."""
    scopes: frozenset[str] = frozenset()
    """What they may do."""
    only: tuple[str, ...] | None = None
    """The only collections reached; None: no such limit."""
    granted: bool = False
    """Whether `only` is a right by itself: a program's own key reads what it was made for."""
    name: str = "anyone"
    """As the audit log and the limits call them: `user:ada`, `key:nightly`, `operator:root`."""
    address: str = "local"
    """Where the request comes from."""
    session: UUID | None = None
    """The token they came with, to be revoked by a log-out."""

    @property
    def reads_everything(self) -> bool:
        """Whether no reader has to be named for them."""
        return self.operator or "admin" in self.roles

    @property
    def account(self) -> str:
        """Who pays, and whose conversations these are: the user, or a program's key by its name (`key:nightly`)."""
        if self.user is not None:
            return self.user
        return (
            self.name.rpartition("/")[0] if self.name.startswith("key:") else self.name
        )  # a key's name may hold a slash

    def deed(self, action: str, subject: str, **details: Any) -> Deed:
        """An entry for the audit log."""
        return Deed(self.name, action, subject, self.address, details)


ANYONE = Caller()
"""Nobody in particular; reads what everyone may read."""
OPERATOR = Caller(operator=True, scopes=frozenset(SCOPES), name="operator")


async def readable(database: Database, caller: Caller, names: Sequence[str] | None = None) -> dict[str, UUID]:
    """The collections `caller` may read, by name: those named, or all but the hidden ones (a dot begins their names).

    Raises NotFound for a name that is not there or that the caller may not read; it cannot tell which.
    """
    found = await _readable(database, caller, names)
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
    return list((await _readable(database, caller, None)).values())


async def _readable(database: Database, caller: Caller, names: Sequence[str] | None) -> dict[str, UUID]:
    return await records.readable(
        database,
        records.Reader(caller.user, sorted(caller.roles), caller.reads_everything, caller.only, caller.granted),
        names,
    )


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
    if unknown := sorted(set(chosen.roles) - set(OF_ROLE)):
        raise Invalid(f"There is no role {unknown[0]!r}; the roles are {', '.join(OF_ROLE)}.")
    await readers(database, collection)
    users = [plain_name(each) for each in chosen.users]
    async with database.transaction() as connection:
        await records.set_readers(connection, collection, chosen.everyone, chosen.roles, users)
    return await readers(database, collection)
