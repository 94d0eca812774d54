"""Looking things up: collections, documents and the text of their versions, as every face shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from groundwork.access.scope import ANYONE, Caller, all_readable, readable
from groundwork.errors import Invalid, NotFound
from groundwork.retrieve import records, scope
from groundwork.retrieve.search import parse_version, version_name
from groundwork.store.database import Database, Row

Page = dict[str, Any]
"""`{"items": [...], "next_cursor": ...}`"""

MOST_PER_PAGE = 500


@dataclass(frozen=True)
class Catalog:
    """Reads what the record holds, as far as its caller may see it."""

    database: Database
    caller: Caller = ANYONE

    def seen_by(self, caller: Caller) -> "Catalog":
        """The same as another caller sees it."""
        return replace(self, caller=caller)

    async def collections(self, cursor: str | None = None, limit: int = 100) -> Page:
        """Collections by name."""
        scope_ids = list((await readable(self.database, self.caller)).values())
        rows = await records.collections(self.database, scope_ids, cursor or "", _limit(limit) + 1)
        return _page([_collection(row) for row in rows], limit, "name")

    async def collection(self, name: str) -> dict[str, Any]:
        """One collection. Raises NotFound."""
        scope_ids = list((await readable(self.database, self.caller, [name])).values())
        return _collection((await records.collections(self.database, scope_ids, "", 1))[0])

    async def documents(
        self,
        collection: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
        tags: Sequence[str] | None = None,
    ) -> Page:
        """Documents in the order they came, of one collection or of all; with `tags`, those that carry one of them.

        Raises NotFound, Invalid.
        """
        names = [collection] if collection is not None else None
        filters = await scope.resolve(self.database, self.caller, names, tags=tags)
        after = _uuid(cursor) if cursor else UUID(int=0)
        rows = await records.documents(self.database, filters, status, after, _limit(limit) + 1)
        return _page([_document(row) for row in rows], limit, "id")

    async def document(self, document_id: str) -> dict[str, Any]:
        """One document. Raises NotFound."""
        row = await records.document(self.database, await self._scope(), _uuid(document_id))
        if row is None:
            raise NotFound(f"There is no document {document_id}. `groundwork documents list` lists those there are.")
        return _document(row)

    async def versions(self, document_id: str) -> dict[str, Any]:
        """The versions of a document that are kept, newest first. Raises NotFound."""
        rows = await records.versions(self.database, await self._scope(), _uuid(document_id))
        if rows is None:
            raise NotFound(f"There is no document {document_id}. `groundwork documents list` lists those there are.")
        return {"items": [_version(row) for row in rows]}

    async def text(
        self, document_id: str, version: str | None = None, start: int | None = None, end: int | None = None
    ) -> dict[str, Any]:
        """The text of a version, whole or from character `start` to `end`, as a citation's span names it.

        Raises NotFound for a document or version that is not there, Invalid for a span outside the text.
        """
        found = await records.version_text(
            self.database,
            await self._scope(),
            _uuid(document_id),
            parse_version(version) if version is not None else None,
        )
        if found is None:
            raise NotFound(f"Document {document_id} has no such version, or none that could be read.")
        text, digest = found
        begin, finish = start or 0, len(text) if end is None else end
        if not 0 <= begin <= finish <= len(text):
            raise Invalid(f"The span {begin}..{finish} is not inside the text, which has {len(text)} characters.")
        return {"text": text[begin:finish], "version": version_name(digest)}

    async def _scope(self) -> list[UUID]:
        return await all_readable(self.database, self.caller)


def _collection(row: Row) -> dict[str, Any]:
    name, description, documents, chunks, generation, created_at, private = row
    return {
        "name": name,
        "description": description,
        "documents": documents,
        "chunks": chunks,
        "generation": generation,
        "private": private,
        "created_at": created_at.isoformat(),
    }


def _document(row: Row) -> dict[str, Any]:
    names = ("id", "uri", "title", "collection", "media_type", "status", "version", "pages", "chunks", "error")
    body: dict[str, Any] = dict(zip(names, row, strict=False))
    body["id"] = str(body["id"])
    body["version"] = version_name(body["version"]) if body["version"] is not None else None
    created_at, updated_at, tags, metadata, live_since = row[10:]
    return {
        **body,
        "tags": tags,
        "metadata": metadata,
        "live_since": live_since.isoformat() if live_since is not None else None,
        "created_at": created_at.isoformat(),
        "updated_at": updated_at.isoformat(),
    }


def _version(row: Row) -> dict[str, Any]:
    digest, title, media_type, characters, created_at, live = row
    return {
        "version": version_name(digest),
        "title": title,
        "media_type": media_type,
        "characters": characters,
        "live": bool(live),
        "created_at": created_at.isoformat(),
    }


def _page(items: list[dict[str, Any]], limit: int, key: str) -> Page:
    return {"items": items[:limit], "next_cursor": items[limit - 1][key] if len(items) > limit else None}


def _limit(limit: int) -> int:
    if not 1 <= limit <= MOST_PER_PAGE:
        raise Invalid(f"`limit` goes from 1 to {MOST_PER_PAGE}.")
    return limit


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(f"{text!r} is not an id.") from None
