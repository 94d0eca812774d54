"""What a person relies on when they label, look back at and remove documents."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from groundwork.assembly import Platform, Request
from groundwork.errors import Corrupt, Invalid, NotFound
from groundwork.ingest.upkeep.labels import MOST_TAGS, Relabel
from plugins.installation import Run, ingest, unheard, write

LIBRARY = {
    "kettle.md": "# Kettle\n\nThe kettle boils water in ninety seconds.\n",
    "lamp.txt": "The lamp has three levels of brightness.",
    "stove.txt": "The stove has four levels of heat.",
}
MODES = ("hybrid", "dense", "lexical")


async def _ids(platform: Platform) -> dict[str, str]:
    return {Path(each["uri"]).name: each["id"] for each in (await platform.catalog.documents())["items"]}


def _by_all(*names: str) -> dict[str, set[str]]:
    """These documents, found by every mode."""
    return {mode: set(names) for mode in MODES}


async def _found(platform: Platform, **narrow: object) -> dict[str, set[str]]:
    """Names of the documents found by each mode."""
    names: dict[str, set[str]] = {}
    for mode in MODES:
        found = await platform.search(Request("levels of brightness and heat in the kettle", 50, mode, **narrow))
        names[mode] = {Path(each.chunk.uri).name for each in found.passages}
    return names


def test_searches_by_tag_see_only_what_carries_it(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        ids = await _ids(platform)
        await platform.relabel(ids["lamp.txt"], Relabel(add=["light", " home "], metadata={"room": "hall"}))
        labelled = await platform.relabel(ids["stove.txt"], Relabel(add=["home"]))
        assert labelled["tags"] == ["home"]

        assert await _found(platform, tags=["light"]) == _by_all("lamp.txt")
        assert await _found(platform, tags=["home"]) == _by_all("lamp.txt", "stove.txt")
        assert await _found(platform, tags=["nothing"]) == _by_all()
        listed = await platform.catalog.documents(tags=["light", "dark"])
        assert [each["metadata"] for each in listed["items"]] == [{"room": "hall"}]

        await platform.relabel(ids["lamp.txt"], Relabel(remove=["light"], metadata={"room": None}))
        assert await _found(platform, tags=["light"]) == _by_all()
        assert (await platform.catalog.document(ids["lamp.txt"]))["metadata"] == {}

    run(work)


def test_labels_outlive_a_change_of_the_document(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        folder = write(tmp_path / "library", LIBRARY)
        await ingest(platform, folder)
        ids = await _ids(platform)
        await platform.relabel(ids["lamp.txt"], Relabel(add=["light"], metadata={"room": "hall"}))
        (folder / "lamp.txt").write_text("The lamp has five levels of brightness.")
        await ingest(platform, folder)
        found = await platform.search(Request("brightness", tags=["light"], mode="lexical"))
        assert [each.chunk.text for each in found.passages] == ["The lamp has five levels of brightness."]
        assert (await platform.catalog.document(ids["lamp.txt"]))["metadata"] == {"room": "hall"}

    run(work)


def test_labels_that_make_no_sense_change_nothing(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        lamp = (await _ids(platform))["lamp.txt"]
        for change in (
            Relabel(add=["fine", " "]),
            Relabel(add=["x" * 201]),
            Relabel(add=[str(number) for number in range(MOST_TAGS + 1)]),
            Relabel(metadata={"": "value"}),
            Relabel(add=["fine"], metadata={"key": "v" * 20_000}),
        ):
            with pytest.raises(Invalid):
                await platform.relabel(lamp, change)
        assert (await platform.catalog.document(lamp))["tags"] == []
        with pytest.raises(NotFound):
            await platform.relabel("00000000-0000-0000-0000-000000000000", Relabel(add=["x"]))

    run(work)


def test_searches_by_date_see_only_texts_taken_in_then(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        folder = write(tmp_path / "library", LIBRARY)
        await ingest(platform, folder)
        before = datetime.now(UTC).isoformat()
        (folder / "lamp.txt").write_text("The lamp has five levels of brightness.")
        await ingest(platform, folder)
        after = datetime.now(UTC).isoformat()

        assert await _found(platform, since=before) == _by_all("lamp.txt")
        assert await _found(platform, until=before) == _by_all("kettle.md", "stove.txt")
        assert await _found(platform, since=after) == _by_all()
        today = datetime.now(UTC).date()
        yesterday = (today - timedelta(days=1)).isoformat()
        assert await _found(platform, since=yesterday, until=today.isoformat()) == _by_all(*LIBRARY)
        assert await _found(platform, until=yesterday) == _by_all()
        for nonsense in ("yesterday", "2026-13-01", "", "2026"):
            with pytest.raises(Invalid, match="no date"):
                await platform.search(Request("lamp", since=nonsense))

    run(work)


def test_former_versions_are_listed_with_what_they_say(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        folder = write(tmp_path / "library", LIBRARY)
        await ingest(platform, folder)
        lamp = (await _ids(platform))["lamp.txt"]
        (folder / "lamp.txt").write_text("The lamp was recalled.")
        await ingest(platform, folder)
        live, former = (await platform.catalog.versions(lamp))["items"]
        assert (live["live"], former["live"]) == (True, False)
        assert (await platform.catalog.text(lamp, former["version"]))["text"] == LIBRARY["lamp.txt"]
        assert live["characters"] == len("The lamp was recalled.")
        with pytest.raises(NotFound):
            await platform.catalog.versions("00000000-0000-0000-0000-000000000000")

    run(work)


def test_a_removed_document_is_proved_gone(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        lamp = (await _ids(platform))["lamp.txt"]
        removed = await platform.delete_document(lamp)
        assert removed["title"] == "Lamp"
        assert removed["proof"] == {"documents": 0, "versions": 0, "chunks": 0, "embeddings": 0, "lexical": 0}

    run(work)


def test_a_removal_that_an_index_missed_is_said(
    run: Run[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        lamp = (await _ids(platform))["lamp.txt"]
        index = platform.lexical.index
        monkeypatch.setattr(index, "replace", lambda documents, entries: None)  # an index that loses a deletion
        with pytest.raises(Corrupt, match="groundwork check"):
            await platform.delete_document(lamp)
        with pytest.raises(NotFound):
            await platform.catalog.document(lamp)

    run(work)


def test_the_original_of_a_removed_upload_is_removed_unless_another_needs_it(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        documents = []
        for name in ("one.txt", "two.txt"):
            accepted = await platform.accept_upload("default", name, b"The same words in both.")
            await platform.take_upload(UUID(accepted["id"]), unheard)
            documents.append(accepted["id"])
        originals = platform.settings.data_dir / "originals"

        def kept() -> int:
            return sum(1 for path in originals.rglob("*") if path.is_file())

        assert kept() == 1
        await platform.delete_document(documents[0])
        assert kept() == 1
        await platform.delete_document(documents[1])
        assert await asyncio.to_thread(kept) == 0

    run(work)
