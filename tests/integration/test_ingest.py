"""What a person relies on when they take a folder in, again and again."""

from pathlib import Path

import pytest

from groundwork.assembly import Platform, Request
from groundwork.errors import NotFound
from plugins.installation import Run, ingest, write

LIBRARY = {
    "kettle.md": "# Kettle\n\nThe kettle boils water in ninety seconds.\n\n## Descaling\n\nUse vinegar every month.\n",
    "lamp.txt": "The lamp has three levels of brightness. It turns itself off after an hour.",
}


def test_new_changed_and_removed_files_are_found(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "library", LIBRARY)

    async def work(platform: Platform) -> None:
        first = await ingest(platform, folder)
        assert (first["found"], first["added"], first["failed"], first["removed"]) == (2, 2, 0, 0)

        again = await ingest(platform, folder)
        assert (again["unchanged"], again["embedded"], again["removed"]) == (2, 0, 0)

        write(folder, {"kettle.md": LIBRARY["kettle.md"].replace("vinegar", "citric acid")})
        changed = await ingest(platform, folder)
        assert (changed["updated"], changed["removed"]) == (1, 1)

        found = await platform.search(Request("descaling with citric acid"))
        assert "citric acid" in found.passages[0].chunk.text
        everything = await platform.search(Request("lamp brightness vinegar", limit=50))
        assert all("lamp" not in each.chunk.uri and "vinegar" not in each.chunk.text for each in everything.passages)

    run(work)


def test_only_changed_chunks_are_embedded_again(run: Run[object], tmp_path: Path) -> None:
    sections = [f"## Part {n}\n\n" + f"Sentence about topic number {n}. " * 40 for n in range(12)]
    folder = write(tmp_path / "manual", {"manual.md": "# Manual\n\n" + "\n\n".join(sections)})

    async def work(platform: Platform) -> None:
        first = await ingest(platform, folder)
        sections[5] = sections[5].replace("topic number 5", "topic number five")
        write(folder, {"manual.md": "# Manual\n\n" + "\n\n".join(sections)})
        second = await ingest(platform, folder)
        assert first["chunks"] >= 12
        assert 1 <= second["embedded"] <= 3
        assert second["reused"] == second["chunks"] - second["embedded"]

    run(work)


def test_a_bad_file_is_noted_with_its_reason_and_stops_nothing(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "mixed", {**LIBRARY, "empty.md": ""})
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing that follows is a PDF")

    async def work(platform: Platform) -> None:
        report = await ingest(platform, folder)
        assert (report["added"], report["failed"]) == (2, 2)
        failed = (await platform.catalog.documents(status="failed"))["items"]
        assert {Path(each["uri"]).name for each in failed} == {"empty.md", "broken.pdf"}
        assert all(each["error"] and each["version"] is None and each["chunks"] == 0 for each in failed)
        assert "empty" in next(each["error"] for each in failed if each["uri"].endswith("empty.md"))

        (folder / "empty.md").write_text("Now the toaster is described here.")
        repaired = await ingest(platform, folder)
        assert (repaired["failed"], repaired["updated"]) == (1, 1)
        assert (await platform.search(Request("toaster"))).passages[0].chunk.uri.endswith("empty.md")

    run(work)


def test_a_document_that_breaks_keeps_its_last_good_version(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "library", LIBRARY)

    async def work(platform: Platform) -> None:
        await ingest(platform, folder)
        (folder / "lamp.txt").write_bytes(b"")
        report = await ingest(platform, folder)
        assert report["failed"] == 1
        document = next(
            each for each in (await platform.catalog.documents())["items"] if each["uri"].endswith("lamp.txt")
        )
        assert document["status"] == "failed"
        assert document["error"]
        assert "brightness" in (await platform.catalog.text(document["id"]))["text"]
        assert "brightness" in (await platform.search(Request("lamp brightness"))).passages[0].chunk.text

    run(work)


def test_every_chunk_is_the_text_at_its_span_of_a_version_anyone_can_hash(run: Run[object], tmp_path: Path) -> None:
    import hashlib

    folder = write(tmp_path / "words", {"naïve.md": "# Überschrift\n\nDie Straße ist naß. 雨が降る。 🙂 Ende.\n" * 30})

    async def work(platform: Platform) -> None:
        await ingest(platform, folder)
        passages = (await platform.search(Request("Straße", limit=50))).passages
        assert passages
        for passage in passages:
            chunk = passage.body()
            span = chunk["source_span"]
            part = await platform.catalog.text(chunk["document_id"], chunk["version"], span["start"], span["end"])
            whole = await platform.catalog.text(chunk["document_id"], chunk["version"])
            assert part["text"] == chunk["text"]
            assert "sha256:" + hashlib.sha256(whole["text"].encode()).hexdigest() == chunk["version"]

    run(work)


def test_an_old_citation_still_opens_after_the_document_changed(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "library", LIBRARY)

    async def work(platform: Platform) -> None:
        await ingest(platform, folder)
        old = (await platform.search(Request("ninety seconds"))).passages[0].chunk
        write(folder, {**LIBRARY, "kettle.md": "# Kettle\n\nThe kettle was recalled.\n"})
        await ingest(platform, folder)
        text = await platform.catalog.text(str(old.document_id), "sha256:" + old.version.hex(), old.start, old.end)
        assert text["text"] == old.text
        live = await platform.catalog.text(str(old.document_id))
        assert "recalled" in live["text"]

    run(work)


def test_deleting_a_document_takes_it_out_of_every_index(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "library", LIBRARY)

    async def work(platform: Platform) -> None:
        await ingest(platform, folder)
        found = (await platform.search(Request("lamp brightness"))).passages[0]
        await platform.delete_document(str(found.chunk.document_id))
        for mode in ("hybrid", "dense", "lexical"):
            left = await platform.search(Request("lamp brightness", mode=mode, limit=50))
            assert all(each.chunk.document_id != found.chunk.document_id for each in left.passages)
        assert platform.lexical.index.count() == await _count(platform, "chunks")
        assert await _count(platform, "chunk_embeddings") == await _count(platform, "chunks")
        with pytest.raises(NotFound):
            await platform.catalog.document(str(found.chunk.document_id))

    run(work)


def test_filters_narrow_inside_the_search(run: Run[object], tmp_path: Path) -> None:
    one = write(tmp_path / "one", LIBRARY)
    two = write(tmp_path / "two", {"lamp.md": "# Lamp\n\nThe other lamp has five levels of brightness."})

    async def work(platform: Platform) -> None:
        await ingest(platform, one, "first")
        await ingest(platform, two, "second")
        in_second = await platform.search(Request("lamp brightness", collections=["second"], limit=50))
        assert {each.chunk.collection for each in in_second.passages} == {"second"}
        by_source = await platform.search(Request("lamp brightness", sources=[str(one)], limit=50))
        assert {each.chunk.collection for each in by_source.passages} == {"first"}
        plain = await platform.search(Request("lamp brightness", media_types=["text/plain"], limit=50))
        assert {Path(each.chunk.uri).name for each in plain.passages} == {"lamp.txt"}
        with pytest.raises(NotFound, match="third"):
            await platform.search(Request("lamp", collections=["third"]))

    run(work)


async def _count(platform: Platform, table: str) -> int:
    rows = {"chunks": "SELECT count(*) FROM chunks", "chunk_embeddings": "SELECT count(*) FROM chunk_embeddings"}
    row = await platform.database.fetch_one(rows[table])
    assert row is not None
    return row[0]
