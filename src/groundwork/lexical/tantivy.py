"""Lexical search with tantivy: BM25 (k1 1.2, b 0.75) over words and pairs of words, in one local folder."""

import math
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import tantivy

from groundwork.candidates import Filters, Hit
from groundwork.errors import Corrupt
from groundwork.lexical import Entry
from groundwork.lexical.words import Variants, Wanted, analysis_of, question_terms, text_terms

FORMAT = 3
"""Grows when schema or analysis change, so that an index of another format is built anew."""

_WRITER_HEAP_BYTES = 32 << 20
_MOST_WORDS = 128
_MOST_PAIRS = 64
_PAIR_WEIGHT = 0.25
"""A pair is rare, so BM25 alone would let one outweigh several words; best between 0.15 and 0.4 on every set tried."""
_TITLE_WEIGHT = 2
"""How often title and headings count: the words they consist of say what the chunk is about."""
_LOW = (1 << 64) - 1
_PAGE = 10_000
_NEVER = (1 << 63) - 1
"""Later than every date."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Snapshot:
    """The index as of one commit."""

    searcher: tantivy.Searcher
    analyses: frozenset[str]
    collections: frozenset[str]
    """Of all chunks in this snapshot, perhaps also of chunks deleted from it."""

    def rarity(self, field: str, term: str) -> float:
        """The inverse document frequency, as BM25 has it."""
        holding = self.searcher.doc_freq(field, term)
        return math.log(1 + max(0.0, self.searcher.num_docs - holding + 0.5) / (holding + 0.5))


class TantivyIndex:
    """One index folder. Any number of processes read it; the one that calls `replace` holds tantivy's writer lock."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer: tantivy.IndexWriter | None = None
        self._lock = threading.Lock()
        try:
            self._index = tantivy.Index(_schema(), path=str(folder), reuse=True)
            self._index.config_reader(reload_policy="manual")
            self._snapshot = self._reloaded()
        except (ValueError, OSError) as error:
            raise Corrupt(f"The lexical index in {folder} cannot be opened ({error}).") from error

    def search(self, question: str, filters: Filters, limit: int) -> list[Hit]:
        """The best chunks by BM25; words the index does not know count for nothing."""
        snapshot = self._snapshot
        wanted = question_terms(question, snapshot.analyses)
        if not wanted.words or not filters.collections:
            return []
        try:
            return _hits(snapshot, self._query(wanted, filters, snapshot), limit)
        except (ValueError, OSError) as error:
            raise Corrupt(f"The lexical index cannot be read ({error}).") from error

    def replace(self, documents: Iterable[UUID], entries: Iterable[Entry]) -> None:
        """Forgets all chunks of `documents` and takes `entries` in; visible after `commit`."""
        with self._lock:
            if self._writer is None:
                self._writer = self._index.writer(heap_size=_WRITER_HEAP_BYTES, num_threads=1)
            for document_id in documents:
                self._writer.delete_documents_by_term("document", document_id.hex)
            for entry in entries:
                self._writer.add_document(_document(entry))

    def commit(self) -> None:
        """Makes everything replaced so far durable and visible at once."""
        with self._lock:
            if self._writer is not None:
                self._writer.commit()
                self._snapshot = self._reloaded()

    def refresh(self) -> None:
        """Makes what another process committed visible here."""
        self._snapshot = self._reloaded()

    def count(self) -> int:
        """How many chunks the index holds."""
        return self._snapshot.searcher.num_docs

    def count_document(self, document_id: UUID) -> int:
        """How many chunks of a document the index holds."""
        query = tantivy.Query.term_query(self._index.schema, "document", document_id.hex, "basic")
        found = self._snapshot.searcher.search(query, limit=1, count=True)
        return cast(int, cast(Any, found).count)  # the type stub leaves it out

    def ids(self) -> Iterator[UUID]:
        """The chunks the index holds, ascending, a page at a time: those from one upper half of an id on."""
        searcher, lower, size = self._snapshot.searcher, 0, _PAGE
        while True:
            try:
                page = self._page(searcher, lower, size)
            except (ValueError, OSError) as error:
                raise Corrupt(f"The lexical index cannot be read ({error}).") from error
            if len(page) < size:
                yield from page
                return
            following = page[-1].int >> 64  # chunks with this upper half may be cut off: they begin the next page
            if following == lower:
                size *= 2
                continue
            yield from (each for each in page if each.int >> 64 < following)
            lower, size = following, _PAGE

    def _page(self, searcher: tantivy.Searcher, lower: int, size: int) -> list[UUID]:
        query = tantivy.Query.range_query(self._index.schema, "id_high", tantivy.FieldType.Unsigned, lower, _LOW)
        found = searcher.search(query, limit=size, count=False, order_by_field="id_high", order=tantivy.Order.Asc).hits
        return sorted(_ids_at(searcher, [address for _, address in found]))

    def close(self) -> None:
        """Waits for running merges and gives the writer's lock back."""
        with self._lock:
            if self._writer is not None:
                self._writer.wait_merging_threads()
                self._writer = None

    def _reloaded(self) -> _Snapshot:
        self._index.reload()
        searcher = self._index.searcher()
        analyses, collections = (
            frozenset(term for term, _ in searcher.terms_with_prefix(field, "")) for field in ("analysis", "collection")
        )
        return _Snapshot(searcher, analyses, collections)

    def _query(self, wanted: Wanted, filters: Filters, snapshot: _Snapshot) -> tantivy.Query:
        words = [self._word("text", each, 1.0, snapshot) for each in wanted.words[:_MOST_WORDS]]
        pairs = [self._word("pairs", each, _PAIR_WEIGHT, snapshot) for each in wanted.pairs[:_MOST_PAIRS]]
        scored = tantivy.Query.boolean_query(
            [(tantivy.Occur.Should, query) for each in (*words, *pairs) for query in each]
        )
        admitted = [self._admitted(field, values) for field, values in _narrowing(filters, snapshot)]
        if filters.since is not None or filters.until is not None:
            admitted.append(self._between(filters.since, filters.until))
        if not admitted:
            return scored
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, each) for each in (scored, *admitted)])

    def _word(self, field: str, variants: Variants, weight: float, snapshot: _Snapshot) -> list[tantivy.Query]:
        """The queries for one word. All variants weigh what the commonest does.

        Else the stem of a language that few chunks are in, rare only for that reason, would outweigh all other words.
        """
        weights = dict.fromkeys(variants, weight)
        if len(variants) > 1:
            rarities = {term: snapshot.rarity(field, term) for term in variants}
            weights = {term: weight * min(rarities.values()) / rarity for term, rarity in rarities.items()}
        return [self._term(field, term, each) for term, each in weights.items()]

    def _term(self, field: str, term: str, weight: float) -> tantivy.Query:
        query = tantivy.Query.term_query(self._index.schema, field, term, "freq")
        return query if weight == 1 else tantivy.Query.boost_query(query, weight)

    def _between(self, since: datetime | None, until: datetime | None) -> tantivy.Query:
        lower = _moment(since) if since is not None else 0
        upper = _moment(until) if until is not None else _NEVER
        if lower >= upper:
            return tantivy.Query.empty_query()
        query = tantivy.Query.range_query(
            self._index.schema, "live_since", tantivy.FieldType.Unsigned, lower, upper, include_upper=False
        )
        return tantivy.Query.const_score_query(query, 0)

    def _admitted(self, field: str, values: list[str]) -> tantivy.Query:
        schema = self._index.schema
        if len(values) == 1:
            query = tantivy.Query.term_query(schema, field, values[0], "basic")
        else:
            query = tantivy.Query.term_set_query(schema, field, values)
        return tantivy.Query.const_score_query(query, 0)


def _narrowing(filters: Filters, snapshot: _Snapshot) -> list[tuple[str, list[str]]]:
    """Which fields have to hold one of which values.

    A scope that covers every collection of this very snapshot needs no clause: the snapshot holds nothing else. Without
    one tantivy skips chunks that cannot reach the best, which makes it several times as fast.
    """
    narrow: list[tuple[str, list[str]]] = []
    collections = [collection.hex for collection in filters.collections]
    if not snapshot.collections.issubset(collections):
        narrow.append(("collection", collections))
    if filters.sources is not None:
        narrow.append(("source", [source.hex for source in filters.sources]))
    if filters.media_types is not None:
        narrow.append(("media_type", list(filters.media_types)))
    if filters.tags is not None:
        narrow.append(("tag", list(filters.tags)))
    return narrow


def _moment(moment: datetime) -> int:
    """Microseconds since 1970, as the index keeps them."""
    return max(0, (moment - _EPOCH) // timedelta(microseconds=1))


def _hits(snapshot: _Snapshot, query: tantivy.Query, limit: int) -> list[Hit]:
    found = snapshot.searcher.search(query, limit=limit, count=False).hits
    addresses = [address for _, address in found]
    ids = _ids_at(snapshot.searcher, addresses)
    return [Hit(chunk_id, cast(float, score)) for chunk_id, (score, _) in zip(ids, found, strict=True)]


def _ids_at(searcher: tantivy.Searcher, addresses: list[tantivy.DocAddress]) -> list[UUID]:
    high = cast("list[int]", searcher.fast_field_values("id_high", addresses))
    low = cast("list[int]", searcher.fast_field_values("id_low", addresses))
    return [UUID(int=upper << 64 | lower) for upper, lower in zip(high, low, strict=True)]


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("id_high", fast=True)
    builder.add_unsigned_field("id_low", fast=True)
    builder.add_unsigned_field("live_since", fast=True)
    for field in ("document", "collection", "source", "media_type", "tag", "analysis"):
        builder.add_text_field(field, tokenizer_name="raw", index_option="basic")
    for field in ("text", "pairs"):
        # Terms come here already analysed, with spaces between them.
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def _document(entry: Entry) -> tantivy.Document:
    analysis = analysis_of(entry.language)
    title, text = text_terms(entry.title, analysis), text_terms(entry.text, analysis)
    document = tantivy.Document()
    document.add_unsigned("id_high", entry.chunk_id.int >> 64)
    document.add_unsigned("id_low", entry.chunk_id.int & _LOW)
    document.add_text("document", entry.document_id.hex)
    document.add_text("collection", entry.collection_id.hex)
    if entry.source_id is not None:
        document.add_text("source", entry.source_id.hex)
    document.add_text("media_type", entry.media_type)
    for tag in entry.tags:
        document.add_text("tag", tag)
    if entry.live_since is not None:
        document.add_unsigned("live_since", _moment(entry.live_since))
    document.add_text("analysis", analysis)
    document.add_text("text", " ".join(title.words * _TITLE_WEIGHT + text.words))
    document.add_text("pairs", " ".join(title.pairs * _TITLE_WEIGHT + text.pairs))
    return document
