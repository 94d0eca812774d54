"""How much there is of everything, for whoever runs the installation."""

import asyncio
from typing import Any

from groundwork.access.credentials import records as credentials
from groundwork.access.people import records as people
from groundwork.budgets.ledger.report import Ledger
from groundwork.ingest.uploads import Originals
from groundwork.retrieve import records
from groundwork.sessions import records as sessions
from groundwork.store.database import Database
from groundwork.store.jobs import Jobs


async def stats(database: Database, jobs: Jobs, originals: Originals) -> dict[str, Any]:
    """Counts, sizes in bytes, and what models cost in US dollars."""
    return {
        **await records.counts(database),
        "documents": await records.documents_by_status(database),
        "users": await people.count_by_status(database),
        "keys": await credentials.count_by_status(database),
        "jobs": await jobs.counts(ended=True),
        **await sessions.counts(database),
        "spent_usd": await Ledger(database).spent(),
        "database_bytes": await database.size_bytes(),
        "originals_bytes": await asyncio.to_thread(originals.size_bytes),
    }
