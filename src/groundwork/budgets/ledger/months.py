"""The ledger's months are made before they come; lines of a month that has none wait in the partition for the rest."""

from datetime import datetime

from groundwork.budgets.ledger import records
from groundwork.budgets.periods import begins, following
from groundwork.store.database import Database


async def make_months(database: Database, at: datetime) -> list[str]:
    """Makes the partitions of a moment's month and of the next, where they are missing; their names.

    Raises StoreUnavailable, also when somebody reads or writes the ledger for so long that it cannot be had.
    """
    there = await records.months(database)
    first = begins("monthly", at)
    made: list[str] = []
    for each in (first, following("monthly", first)):
        name = f"ledger_{each:%Y_%m}"
        if name not in there:
            async with database.transaction() as connection:
                if await records.make_month(connection, name, each, following("monthly", each)):
                    made.append(name)
    return made
