"""Everything that is stored about somebody, for them to see."""

from typing import Any

from groundwork.access.audit import log
from groundwork.access.credentials import records as credentials
from groundwork.access.credentials.keys import body as key_body
from groundwork.access.federation import records as federation
from groundwork.access.names import plain_name
from groundwork.access.people import records
from groundwork.access.people.users import body
from groundwork.access.scope import Caller
from groundwork.errors import NotFound
from groundwork.store.database import Database

_MOST = 10_000


async def everything_about(database: Database, name: str, by: Caller) -> dict[str, Any]:
    """Account, keys, identities at a provider, grants and the audit log's entries of and about somebody. Raises NotFound."""
    name = plain_name(name)
    row = await records.by_name(database, name)
    if row is None:
        raise NotFound(f"There is no user named {name!r}. `groundwork users list` lists those there are.")
    keys = await credentials.keys(database, name, None, _MOST)
    entries = [
        entry
        async for entry in log.export(database)
        if entry["subject"] == name or f"user:{name}" in (entry["actor"], *entry["actor"].split("/"))
    ]
    await log.record(database, by.deed("user_exported", name))
    return {
        "user": body(row),
        "keys": [key_body(each) for each in keys],
        "identities": [
            {"issuer": issuer, "subject": subject, "linked_at": linked.isoformat()}
            for issuer, subject, linked in await federation.of_account(database, name)
        ],
        "readable_by_name": await records.readable_by_name(database, name),
        "audit": entries,
    }
