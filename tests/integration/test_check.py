"""What breaks is found and named, mended where it can be, and what cannot be mended is not called well."""

import asyncio
import re
import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from groundwork.assembly import Platform, Request, open_platform
from groundwork.health.checkup import last_result
from groundwork.health.drift import settled_drift
from groundwork.ingest.items import Item
from groundwork.ingest.upkeep.labels import Relabel
from groundwork.lexical import Entry
from groundwork.settings import Settings
from plugins.installation import Run, ingest, on_platform, quiet, unheard, write

LIBRARY = {
    "kettle.md": "# Kettle\n\nThe kettle boils water in ninety seconds.\n\n## Descaling\n\nUse vinegar every month.\n",
    "manual.md": "# Manual\n\n"
    + "\n\n".join(f"## Part {n}\n\n" + f"A sentence about topic number {n}. " * 30 for n in range(6)),
    "lamp.txt": "The lamp has three levels of brightness.",
}
_LAMP = "(SELECT id FROM documents WHERE uri LIKE '%lamp.txt')"
_MANUAL = "(SELECT id FROM documents WHERE uri LIKE '%manual.md')"
_HALF = f"document_id = {_MANUAL} AND ordinal % 2 = 0"

PLANTED: dict[str, tuple[str, ...]] = {
    "rows_without_owner": (f"DELETE FROM chunks WHERE {_HALF}",),
    "ready_without_text": (f"UPDATE documents SET live_version = NULL WHERE id = {_LAMP}",),
    "altered_text": (f"UPDATE document_versions SET text = 'The lamp is broken.' WHERE document_id = {_LAMP}",),
    "words_without_passage": (
        f"DELETE FROM chunk_embeddings WHERE chunk_id IN (SELECT id FROM chunks WHERE {_HALF})",
        f"DELETE FROM chunks WHERE {_HALF}",
    ),
    "passages_of_former_text": (
        f"""INSERT INTO document_versions (id, document_id, sha256, text, title, media_type)
        SELECT gen_random_uuid(), {_LAMP}, sha256('former'), 'former', 'Lamp', 'text/plain'""",
        f"""UPDATE chunks SET version_id = (SELECT id FROM document_versions WHERE text = 'former')
        WHERE document_id = {_LAMP}""",
    ),
    "passage_not_at_span": (f"UPDATE chunks SET text = text || ' And more.' WHERE {_HALF}",),
    "passages_without_vector": (f"DELETE FROM chunk_embeddings WHERE document_id = {_LAMP}",),
    "access_drift": (
        "INSERT INTO collections (id, name) VALUES (gen_random_uuid(), 'open')",
        f"""UPDATE chunk_embeddings SET collection_id = (SELECT id FROM collections WHERE name = 'open')
        WHERE document_id = {_LAMP}""",
    ),
    "stale_checkpoints": (
        """INSERT INTO embedding_checkpoints SELECT space_id, sha256('x'), embedding, now() - interval '2 days'
        FROM chunk_embeddings LIMIT 1""",
    ),
    "spent_not_in_ledger": ("INSERT INTO budget_periods VALUES ('ada', 'daily', '2026-01-01', 1, 0)",),
    "reserved_for_nothing": ("INSERT INTO budget_periods VALUES ('ada', 'daily', '2026-01-01', 0, 1)",),
    "lexical_missing": (),
    "lexical_extra": (),
}


def _broken(body: dict[str, Any], key: str = "left") -> set[str]:
    return {each["name"] for each in body["checks"] if each[key]}


def _plant(url: str, *statements: str) -> None:
    """Damage that the constraints of the database would not let happen."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement


async def _state(platform: Platform) -> list[tuple[Any, ...]]:
    """All that the record holds of documents, but for ids of passages and the time of the last change."""
    return await platform.database.fetch(
        "SELECT d.id, d.uri, d.status, d.content_hash, d.tags, d.metadata, v.sha256, v.text, "
        "(SELECT json_agg(json_build_array(c.ordinal, c.start_char, c.end_char, c.heading_path, c.text, c.embed_hash, "
        "c.collection_id, e.collection_id, e.document_id, e.space_id, e.embedding::text) ORDER BY c.ordinal) FROM chunks c "
        "JOIN chunk_embeddings e ON e.chunk_id = c.id WHERE c.document_id = d.id AND c.version_id = v.id)::text "
        "FROM documents d LEFT JOIN document_versions v ON v.id = d.live_version ORDER BY d.id"
    )


async def _fill(platform: Platform, folder: Path) -> None:
    await ingest(platform, write(folder, LIBRARY), "home")
    lamp = next(each for each in (await platform.catalog.documents("home"))["items"] if "lamp" in each["uri"])
    await platform.relabel(lamp["id"], Relabel(add=["light"]))


async def _damage_index(platform: Platform, name: str) -> None:
    index = platform.lexical.index
    lamp = next(each for each in (await platform.catalog.documents("home"))["items"] if "lamp" in each["uri"])
    if name == "lexical_missing":
        index.replace([UUID(lamp["id"])], [])
    elif name == "lexical_extra":
        index.replace([], [Entry(UUID(int=7), UUID(int=8), UUID(int=9), None, "text/plain", "en", "ghost", "ghost")])
    index.commit()


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_broken_is_found_and_mended(run: Run[object], tmp_path: Path, database_url: str, name: str) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        assert _broken(await platform.check()) == set()
        before = await _state(platform)

        _plant(database_url, *PLANTED[name])
        await _damage_index(platform, name)
        found = await platform.check()
        assert name in _broken(found)
        assert not found["ok"]
        named = next(each for each in found["checks"] if each["name"] == name)
        assert named["examples"]
        assert await platform.check() == {**found, "checked_at": _Any(), "seconds": _Any()}, "a check changes nothing"

        mended = await platform.check(mend=True)
        assert mended["ok"], _broken(mended)
        assert name in _broken(mended, "found")
        assert _broken(await platform.check(), "found") == set()
        assert await _state(platform) == before
        found_again = await platform.search(Request("brightness of the lamp", tags=["light"], mode="hybrid"))
        assert [each.chunk.text for each in found_again.passages] == [LIBRARY["lamp.txt"]]

    run(work)


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_several_things_broken_at_once_are_all_mended(run: Run[object], tmp_path: Path, database_url: str) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        before = await _state(platform)
        for name in ("stale_checkpoints", "altered_text", "passage_not_at_span", "rows_without_owner"):
            _plant(database_url, *PLANTED[name])
        mended = await platform.check(mend=True)
        assert mended["ok"], _broken(mended)
        assert await _state(platform) == before

    run(work)


def test_a_text_whose_source_is_gone_is_not_called_well(run: Run[object], tmp_path: Path, database_url: str) -> None:
    async def work(platform: Platform) -> None:
        collection = (await platform.create_collection("notes"))["name"]
        items = [Item("note:1", "note.txt", lambda: b"A note that nobody can read again.")]
        await platform.ingest_items(items, collection, quiet)
        _plant(database_url, "UPDATE document_versions SET text = 'Another note.'")
        mended = await platform.check(mend=True)
        assert "altered_text" in _broken(mended)
        assert not mended["ok"]

    run(work)


def test_a_former_text_that_was_altered_is_removed(run: Run[object], tmp_path: Path, database_url: str) -> None:
    async def work(platform: Platform) -> None:
        folder = tmp_path / "library"
        await _fill(platform, folder)
        (folder / "lamp.txt").write_text("The lamp has five levels of brightness.")
        await ingest(platform, folder, "home")
        _plant(database_url, "UPDATE document_versions SET text = 'Forged.' WHERE text LIKE '%three levels%'")
        assert _broken(await platform.check()) == {"altered_text"}
        assert (await platform.check(mend=True))["ok"]
        lamp = next(each for each in (await platform.catalog.documents("home"))["items"] if "lamp" in each["uri"])
        assert [each["live"] for each in (await platform.catalog.versions(lamp["id"]))["items"]] == [True]

    run(work)


def test_a_lost_text_falls_back_to_the_one_before_until_it_is_read_again(
    run: Run[object], tmp_path: Path, database_url: str
) -> None:
    async def work(platform: Platform) -> None:
        folder = tmp_path / "library"
        await _fill(platform, folder)
        (folder / "lamp.txt").write_text("The lamp has five levels of brightness.")
        await ingest(platform, folder, "home")
        (folder / "lamp.txt").unlink()
        _plant(database_url, "DELETE FROM document_versions WHERE text LIKE '%five levels%'")
        assert (await platform.check(mend=True))["ok"]
        found = await platform.search(Request("brightness of the lamp", mode="lexical"))
        assert [each.chunk.text for each in found.passages] == [LIBRARY["lamp.txt"]]

    run(work)


async def _upload(platform: Platform, name: str, content: bytes) -> UUID:
    return UUID((await platform.accept_upload("home", name, content))["id"])


def test_an_original_that_is_gone_is_said_until_it_is_back(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        document = await _upload(platform, "one.txt", b"The only copy.")
        await platform.take_upload(document, unheard)
        shutil.rmtree(platform.settings.data_dir / "originals")
        body = await platform.check(mend=True)
        assert _broken(body) == {"missing_originals"}
        again = await _upload(platform, "one.txt", b"The only copy.")
        await platform.take_upload(again, unheard)
        assert (await platform.check())["ok"]

    run(work)


def test_an_upload_whose_job_is_gone_is_taken(run: Run[object], database_url: str) -> None:
    async def work(platform: Platform) -> None:
        document = await _upload(platform, "one.txt", b"The badger sleeps by day.")
        _plant(
            database_url,
            "DELETE FROM jobs",
            "UPDATE documents SET updated_at = now() - interval '5 minutes'",
        )
        assert _broken(await platform.check()) == {"uploads_nobody_takes"}
        assert (await platform.check(mend=True))["ok"]
        assert (await platform.catalog.document(str(document)))["status"] == "ready"

    run(work)


def test_a_job_whose_process_died_is_queued_again(run: Run[object], database_url: str) -> None:
    async def work(platform: Platform) -> None:
        await _upload(platform, "one.txt", b"The badger sleeps by day.")
        _plant(database_url, "UPDATE jobs SET runner = 4711", "UPDATE procrastinate_jobs SET status = 'doing'")
        assert _broken(await platform.check()) == {"stalled_jobs"}
        assert (await platform.check(mend=True))["ok"]
        assert [each["status"] for each in await platform.jobs.page()] == ["retrying"]

    run(work)


def test_a_damaged_index_is_built_anew_by_whoever_writes_it(settings: Settings, tmp_path: Path) -> None:
    """The check runs beside a service that holds the writer's lock."""

    async def work(service: Platform) -> None:
        await _fill(service, tmp_path / "library")
        following = asyncio.create_task(service.lexical.follow(0.05))
        try:
            for name in ("lexical_missing", "lexical_extra"):
                await _damage_index(service, name)
                async with open_platform(settings) as beside:
                    assert name in _broken(await beside.check())
                    assert (await beside.check(mend=True))["ok"]
        finally:
            following.cancel()
        assert (await service.check())["ok"]

    on_platform(settings, work)


def test_the_result_is_there_for_metrics_and_health(run: Run[object], tmp_path: Path, database_url: str) -> None:
    async def work(platform: Platform) -> None:
        metrics = platform.settings.data_dir / "metrics"
        assert last_result(metrics)["status"] == "unknown"
        await _fill(platform, tmp_path / "library")
        await platform.check()
        assert last_result(metrics)["status"] == "ok"
        _plant(database_url, *PLANTED["passages_without_vector"])
        await platform.check()
        component = last_result(metrics)
        assert (component["status"], component["broken"]) == ("degraded", {"passages_without_vector": 1})
        assert 0 <= component["age_seconds"] < 60
        text = (metrics / "check.prom").read_text()
        assert 'groundwork_check_violations{check="passages_without_vector"} 1\n' in text
        assert 'groundwork_check_violations{check="altered_text"} 0\n' in text
        assert re.search(r"^groundwork_check_last_run_timestamp_seconds \d+\.\d+$", text, re.MULTILINE)
        (metrics / "check.json").write_text("{")
        assert last_result(metrics)["status"] == "unknown"

    run(work)


def test_drift_of_any_index_is_told_apart(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        rows = await platform.database.fetch("SELECT id FROM chunks ORDER BY id")
        chunks = [row[0] for row in rows]
        ghosts = [UUID(int=1), UUID(int=(1 << 128) - 1)]

        async def settle() -> None:
            return None

        def holding(ids: list[UUID]) -> Callable[[], AsyncGenerator[UUID]]:
            async def stream() -> AsyncGenerator[UUID]:
                for each in sorted(ids):
                    yield each

            return stream

        async def drift(ids: list[UUID]) -> tuple[list[UUID], list[UUID]]:
            found = await settled_drift(platform.database, holding(ids), settle)
            assert (found.missing_count, found.extra_count) == (len(found.missing), len(found.extra))
            return found.missing, found.extra

        assert await drift(chunks) == ([], [])
        assert await drift([]) == (chunks, [])
        assert await drift(ghosts) == (chunks, ghosts)
        assert await drift([*chunks[1:-1], *ghosts]) == ([chunks[0], chunks[-1]], ghosts)

    run(work)
