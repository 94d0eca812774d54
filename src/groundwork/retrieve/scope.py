"""From names a person gives to the filters a search obeys; which collections those may be, `access.scope` decides."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from groundwork.access.scope import OPERATOR, Caller, readable
from groundwork.candidates import Filters
from groundwork.errors import Invalid, NotFound, Refused
from groundwork.retrieve import records
from groundwork.store.database import Database


async def resolve(
    database: Database,
    caller: Caller,
    collections: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    media_types: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Filters:
    """Filters for those names; without collections, all that `caller` may read.

    `since` and `until` are dates or moments (ISO 8601; UTC unless they say otherwise): `until` takes the day it names in,
    and a moment out.

    Raises Invalid for what is no date, NotFound naming the collection or source that does not exist, as far as the caller
    can tell.
    """
    ids = await readable(database, caller, collections)
    source_ids = await records.source_ids(database, sources, list(ids.values())) if sources is not None else None
    if sources is not None and source_ids is not None:
        _all_known("source", sources, source_ids)
    return Filters(
        tuple(ids.values()),
        tuple(each for group in source_ids.values() for each in group) if source_ids is not None else None,
        tuple(media_types) if media_types is not None else None,
        tuple(tags) if tags is not None else None,
        _moment(since) if since is not None else None,
        _moment(until, timedelta(days=1)) if until is not None else None,
    )


async def refuse_hidden(database: Database, caller: Caller, collection: str) -> None:
    """Raises NotFound when the collection exists and `caller` may not read it; one that does not may be made.

    Raises Refused for one outside those that a key reaches.
    """
    if caller.only is not None and collection not in caller.only:
        raise Refused(f"This key reaches only {', '.join(caller.only)}.")
    if collection in await readable(database, OPERATOR):
        await readable(database, caller, [collection])


def _moment(text: str, day: timedelta = timedelta()) -> datetime:
    """The moment a text names; `day` later when it names a whole day."""
    try:
        if len(text.strip()) <= len("2026-01-31"):
            day_named = date.fromisoformat(text.strip())
            return datetime(day_named.year, day_named.month, day_named.day, tzinfo=UTC) + day
        moment = datetime.fromisoformat(text.strip())
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{text!r} is no date: write 2026-01-31, or 2026-01-31T08:00:00Z.") from None


def _all_known(noun: str, names: Sequence[str], known: object) -> None:
    assert isinstance(known, dict)
    missing = [name for name in names if name not in known]
    if missing:
        raise NotFound(f"There is no {noun} named {missing[0]!r}. `groundwork {noun}s list` lists those there are.")
