"""Brings the record in step with what a source offers: new, changed and removed documents, found by content hash."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundwork.errors import GroundworkError
from groundwork.ingest import records
from groundwork.ingest.items import Item, Known
from groundwork.ingest.pipeline import Pipeline, Tally
from groundwork.ingest.records import Destination

Progress = Callable[[int, Tally], None]
"""Told the number of documents the source offers and what became of them so far."""


@dataclass(frozen=True)
class Report:
    """What a sync did."""

    collection: str
    source: str
    found: int
    removed: int
    seconds: float
    tally: Tally
    gaps: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        tally = self.tally
        return {
            "collection": self.collection,
            "source": self.source,
            "found": self.found,
            "added": tally.added,
            "updated": tally.updated,
            "unchanged": tally.unchanged,
            "removed": self.removed,
            "failed": tally.failed,
            "chunks": tally.chunks,
            "embedded": tally.embedded,
            "reused": tally.reused,
            "seconds": round(self.seconds, 3),
            "failures": [{"uri": each.uri, "error": each.reason} for each in tally.failures],
            "gaps": list(self.gaps),
        }


@dataclass(frozen=True)
class Plan:
    """What a sync would do, found without touching anything."""

    new: list[str]
    changed: list[str]
    unchanged: int
    removed: list[str]
    unreadable: list[str]

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "unreadable": self.unreadable,
        }


async def sync(
    pipeline: Pipeline,
    items: Sequence[Item],
    destination: Destination,
    names: tuple[str, str],
    progress: Progress,
    gaps: Sequence[str] = (),
) -> Report:
    """Takes in what is new or changed among `items` and removes what the source offers no more.

    `names` are the collection's and the source's, for the report. `gaps` say what the source could not look into;
    while there are any, nothing is removed.
    """
    began = time.monotonic()
    known = await records.known_documents(pipeline.database, destination, [item.uri for item in items])
    tally = await pipeline.run(items, known, destination, lambda tally: progress(len(items), tally))
    removed = await _remove(pipeline, destination, {} if gaps else _gone(known, items))
    return Report(*names, len(items), len(removed), time.monotonic() - began, tally, tuple(gaps))


async def plan(pipeline: Pipeline, items: Sequence[Item], destination: Destination) -> Plan:
    """What `sync` would do with `items`; reads them, writes nothing."""
    known = await records.known_documents(pipeline.database, destination, [item.uri for item in items])
    seen = await asyncio.to_thread(_compare, items, known)
    return Plan(
        new=seen["new"],
        changed=seen["changed"],
        unchanged=len(seen["unchanged"]),
        removed=sorted(_gone(known, items)),
        unreadable=seen["unreadable"],
    )


def _compare(items: Sequence[Item], known: Mapping[str, Known]) -> dict[str, list[str]]:
    seen: dict[str, list[str]] = {"new": [], "changed": [], "unchanged": [], "unreadable": []}
    for item in items:
        seen[_change(item, known.get(item.uri))].append(item.uri)
    return seen


def _change(item: Item, before: Known | None) -> str:
    if before is None:
        return "new"
    try:
        digest = hashlib.sha256(item.read()).digest()
    except (OSError, GroundworkError):
        return "unreadable"
    return "unchanged" if before.status == "ready" and before.content_hash == digest else "changed"


def _gone(known: Mapping[str, Known], items: Sequence[Item]) -> dict[str, Known]:
    """The source's own documents that it offers no more."""
    offered = {item.uri for item in items}
    return {uri: each for uri, each in known.items() if each.owned and uri not in offered}


async def _remove(pipeline: Pipeline, destination: Destination, gone: Mapping[str, Known]) -> list[str]:
    async with pipeline.database.transaction() as connection:
        if destination.source_id is not None:
            await records.touch_source(connection, destination.source_id)
        if gone:
            ids = [each.document_id for each in gone.values()]
            await records.delete_documents(connection, destination.collection_id, ids)
    return list(gone)
