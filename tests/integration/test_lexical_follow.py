"""The lexical index follows the database: nothing skipped, nothing left over, rebuilt when it has to be."""

import asyncio
import shutil
from pathlib import Path

import psycopg

from groundwork.assembly import Platform, Request, open_platform
from groundwork.ingest import records, sync
from groundwork.ingest.items import Item
from groundwork.ingest.records import Destination
from groundwork.settings import Settings
from plugins.installation import Run, ingest, on_platform, quiet, write


def _items(name: str, count: int) -> list[Item]:
    return [
        Item(f"{name}:{n}", "note.txt", lambda n=n: f"Note {n} of {name} speaks of marker{name}{n}.".encode())
        for n in range(count)
    ]


def test_overlapping_writers_lose_no_chunk(settings: Settings) -> None:
    """Two ingests at once, while a third transaction stays open across both: a follower by id alone would skip rows."""

    async def work(platform: Platform) -> None:
        async with open_platform(settings) as other, platform.database.transaction() as slow:
            await other.ready_to_ingest()
            await slow.execute("SELECT pg_current_xact_id()")
            follower = asyncio.create_task(platform.lexical.follow(0.02))
            await asyncio.gather(
                platform.pipeline.database.ping(),
                _ingest(platform, "left", 40),
                _ingest(other, "right", 40),
            )
            follower.cancel()
        assert await platform.lexical.catch_up()
        assert platform.lexical.index.count() == 80
        for name, n in (("left", 0), ("left", 39), ("right", 0), ("right", 39)):
            found = await platform.search(Request(f"marker{name}{n}", mode="lexical", collections=[name]))
            assert [each.chunk.uri for each in found.passages] == [f"{name}:{n}"]

    on_platform(settings, work)


async def _ingest(platform: Platform, name: str, count: int) -> None:
    async with platform.database.transaction() as connection:
        collection_id = await records.ensure_collection(connection, name)
    for end in range(8, count + 1, 8):
        destination = Destination(collection_id, None)
        await sync.sync(platform.pipeline, _items(name, end), destination, (name, name), quiet)
        await asyncio.sleep(0.01)


def test_a_change_hidden_behind_an_open_transaction_is_not_skipped(run: Run[object], database_url: str) -> None:
    """One writer takes its place in the feed first and commits last; a cursor on the row id alone passes it by."""

    async def work(platform: Platform) -> None:
        await platform.ingest_items(_items("early", 1), "early", quiet)
        with psycopg.connect(database_url, autocommit=True) as connection:
            hidden = connection.execute("SELECT live_version FROM documents").fetchone()
            _set_live(connection, None)
        assert await platform.lexical.catch_up()
        assert platform.lexical.index.count() == 0

        with psycopg.connect(database_url) as early:
            _set_live(early, hidden and hidden[0])
            late = asyncio.create_task(platform.ingest_items(_items("late", 3), "late", quiet))
            await asyncio.sleep(0.5)  # the follower reads all along
            early.commit()
            await late
        assert await platform.lexical.catch_up()
        assert platform.lexical.index.count() == 4
        assert await platform.lexical.lag() == 0
        found = await platform.search(Request("markerearly0", mode="lexical"))
        assert [each.chunk.uri for each in found.passages] == ["early:0"]

    run(work)


def _set_live(connection: psycopg.Connection, version: object) -> None:
    """Shows or hides the one early document, as a writer does: the change announced in the same transaction."""
    connection.execute(
        "INSERT INTO changes (collection_id, document_id) SELECT collection_id, id FROM documents WHERE uri = 'early:0'"
    )
    connection.execute("UPDATE documents SET live_version = %s WHERE uri = 'early:0'", (version,))


def test_a_missing_index_is_built_by_itself(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"a.txt": "The albatross sleeps on the wing."})

    async def take_in(platform: Platform) -> None:
        await ingest(platform, folder)

    async def search(platform: Platform) -> list[str]:
        found = await platform.search(Request("albatross", mode="lexical"))
        return [each.chunk.text for each in found.passages]

    on_platform(settings, take_in)
    shutil.rmtree(settings.data_dir / "lexical")
    assert on_platform(settings, search) == ["The albatross sleeps on the wing."]


def test_a_corrupt_index_is_built_anew(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"a.txt": "The albatross sleeps on the wing."})

    async def take_in(platform: Platform) -> None:
        await ingest(platform, folder)

    async def search(platform: Platform) -> int:
        return len((await platform.search(Request("albatross", mode="lexical"))).passages)

    on_platform(settings, take_in)
    for file in (settings.data_dir / "lexical").glob("index-*/*"):
        file.write_bytes(b"rubbish")
    assert on_platform(settings, search) == 1
    (settings.data_dir / "lexical" / "state.json").write_text("{")
    assert on_platform(settings, search) == 1


def test_an_index_of_another_database_is_not_trusted(settings: Settings, tmp_path: Path, database_url: str) -> None:
    folder = write(tmp_path / "docs", {"a.txt": "The albatross sleeps on the wing."})

    async def take_in(platform: Platform) -> None:
        await ingest(platform, folder)

    async def count(platform: Platform) -> int:
        return platform.lexical.index.count()

    on_platform(settings, take_in)
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("DELETE FROM chunks")
        admin.execute("UPDATE installation SET epoch = epoch + 1")
    assert on_platform(settings, count) == 0


def test_a_second_process_reads_what_the_first_writes(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"a.txt": "The albatross sleeps on the wing."})

    async def work(writer: Platform) -> None:
        async with open_platform(settings) as reader:
            await reader.ready()
            await ingest(writer, folder)
            assert await reader.lexical.catch_up()
            found = await reader.search(Request("albatross", mode="lexical"))
            assert len(found.passages) == 1

    on_platform(settings, work)


def test_commands_that_take_turns_do_not_wait_for_each_other(settings: Settings) -> None:
    """Each writes in turn, though neither follows: whoever held on to the index would be waited for in vain."""

    async def work(platform: Platform) -> None:
        async with open_platform(settings) as other:
            await platform.ingest_items(_items("left", 1), "left", quiet)
            await other.ready()
            await other.ingest_items(_items("right", 1), "right", quiet)
            assert await other.lexical.catch_up(timeout=2)
            assert await platform.lexical.catch_up(timeout=2)
            for each in (platform, other):
                assert each.lexical.index.count() == 2
                found = await each.search(Request("markerright0", mode="lexical", collections=["right"]))
                assert [passage.chunk.uri for passage in found.passages] == ["right:0"]

    on_platform(settings, work)


def test_rebuild_counts_what_it_built(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"a.txt": "One.", "b.txt": "Two."})

    async def work(platform: Platform) -> None:
        await ingest(platform, folder)
        assert await platform.rebuild() == {"lexical": 2}
        assert len((await platform.search(Request("two", mode="lexical"))).passages) == 1

    run(work)
