"""What every lexical index promises: it finds words, and shows nothing out of scope."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from groundwork.candidates import Filters
from groundwork.lexical import Entry, LexicalIndex
from groundwork.lexical.memory import MemoryLexicalIndex
from groundwork.lexical.tantivy import TantivyIndex

OURS, THEIRS, SOURCE = UUID(int=1), UUID(int=2), UUID(int=3)


@pytest.fixture(params=["tantivy", "memory"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LexicalIndex]:
    index = TantivyIndex(tmp_path) if request.param == "tantivy" else MemoryLexicalIndex()
    yield index
    index.close()


def entry(number: int, text: str, collection: UUID = OURS, language: str | None = "en", title: str = "t") -> Entry:
    identity = UUID(int=100 + number)
    return Entry(identity, identity, collection, SOURCE, "text/plain", language, title, text)


def fill(index: LexicalIndex, *entries: Entry) -> None:
    index.replace([each.document_id for each in entries], entries)
    index.commit()


def found(index: LexicalIndex, question: str, filters: Filters) -> list[int]:
    return [hit.chunk_id.int - 100 for hit in index.search(question, filters, 10)]


def test_the_chunk_with_more_of_the_words_comes_first(index: LexicalIndex) -> None:
    fill(index, entry(1, "the wing"), entry(2, "lift of the wing"), entry(3, "a boat"))
    assert found(index, "wing lift", Filters((OURS,))) == [2, 1]
    assert found(index, "zebra", Filters((OURS,))) == []
    assert found(index, "?", Filters((OURS,))) == []


def test_nothing_out_of_scope_is_found(index: LexicalIndex) -> None:
    fill(index, entry(1, "wing"), entry(2, "wing", THEIRS))
    assert found(index, "wing", Filters((OURS,))) == [1]
    assert found(index, "wing", Filters((THEIRS,))) == [2]
    assert sorted(found(index, "wing", Filters((OURS, THEIRS)))) == [1, 2]
    assert found(index, "wing", Filters(())) == []
    assert found(index, "wing", Filters((UUID(int=9),))) == []
    assert found(index, "wing", Filters((OURS,), sources=(UUID(int=9),))) == []
    assert found(index, "wing", Filters((OURS, THEIRS), media_types=("text/html",))) == []


def test_only_documents_with_one_of_the_tags_are_found(index: LexicalIndex) -> None:
    fill(
        index,
        replace(entry(1, "wing"), tags=("red", "very old")),
        replace(entry(2, "wing"), tags=("blue",)),
        entry(3, "wing"),
    )
    assert found(index, "wing", Filters((OURS,), tags=("very old",))) == [1]
    assert sorted(found(index, "wing", Filters((OURS,), tags=("red", "blue")))) == [1, 2]
    assert found(index, "wing", Filters((OURS,), tags=("old",))) == []
    assert found(index, "wing", Filters((THEIRS,), tags=("red",))) == []
    fill(index, replace(entry(2, "wing"), tags=("red",)))
    assert sorted(found(index, "wing", Filters((OURS,), tags=("red",)))) == [1, 2]


def test_only_texts_of_that_time_are_found(index: LexicalIndex) -> None:
    early, late = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    fill(index, replace(entry(1, "wing"), live_since=early), replace(entry(2, "wing"), live_since=late))
    assert found(index, "wing", Filters((OURS,), since=late)) == [2]
    assert found(index, "wing", Filters((OURS,), until=late)) == [1]
    assert sorted(found(index, "wing", Filters((OURS,), since=early))) == [1, 2]
    assert found(index, "wing", Filters((OURS,), since=early, until=early)) == []
    assert found(index, "wing", Filters((OURS,), since=late, until=early)) == []


def test_it_tells_what_it_holds(index: LexicalIndex) -> None:
    assert list(index.ids()) == []
    fill(index, *[entry(number, "wing") for number in range(30)])
    assert list(index.ids()) == [UUID(int=100 + number) for number in range(30)]
    assert index.count_document(UUID(int=105)) == 1
    fill(index, entry(5, "wing"))
    assert index.count_document(UUID(int=105)) == 1, "what was replaced is not counted"
    index.replace([UUID(int=105)], [])
    index.commit()
    assert index.count_document(UUID(int=105)) == 0
    assert UUID(int=105) not in set(index.ids())


def test_ids_come_in_order_whatever_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than a page, and more that begin alike than a page."""
    monkeypatch.setattr("groundwork.lexical.tantivy._PAGE", 7)
    index = TantivyIndex(tmp_path)
    ids = sorted([UUID(int=(n // 20) << 64 | n) for n in range(60)] + [UUID(int=(1 << 128) - 1)])
    fill(index, *[replace(entry(0, "wing"), chunk_id=each) for each in reversed(ids)])
    assert list(index.ids()) == ids
    index.close()


def test_a_collection_that_comes_later_is_out_of_scope_too(index: LexicalIndex) -> None:
    fill(index, entry(1, "wing"))
    assert found(index, "wing", Filters((OURS,))) == [1]
    fill(index, entry(2, "wing", THEIRS))
    assert found(index, "wing", Filters((OURS,))) == [1]


def test_what_is_replaced_is_found_no_more(index: LexicalIndex) -> None:
    fill(index, entry(1, "wing"))
    index.replace([UUID(int=101)], [])
    index.commit()
    assert found(index, "wing", Filters((OURS,))) == []
    assert index.count() == 0


def test_one_text_in_another_language_does_not_get_ahead(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    many = [entry(number, f"models and training number {number}") for number in range(50)]
    fill(index, *many, entry(77, "training models evaluation metrics"), entry(99, "a models list", language="pl"))
    assert found(index, "evaluation metrics of models", Filters((OURS,)))[0] == 77
    index.close()


def test_words_in_the_title_count_more(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    fill(index, entry(1, "a wing and a prayer", title="boats"), entry(2, "boats and a prayer", title="wing"))
    assert found(index, "wing", Filters((OURS,))) == [2, 1]
    index.close()
