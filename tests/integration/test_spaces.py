"""Changing the embedding model while serving: built beside the live one, compared, switched to, switched back, dropped."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest

from groundwork.assembly import Platform, Request, open_platform
from groundwork.errors import Conflict, Invalid, NotFound
from groundwork.ingest.items import Item
from groundwork.settings import EmbedderSettings, Settings
from groundwork.spaces.registry import NewSpace
from plugins.embedding_server import serve_embeddings
from plugins.installation import Run, on_platform, quiet, unheard

WIDE = NewSpace("wide", "hashing", dimension=1024)


def _items(numbers: range) -> list[Item]:
    return [Item(f"note:{n}", "note.txt", lambda n=n: f"Note {n} tells of subject{n} only.".encode()) for n in numbers]


def _lacking(url: str, space: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM chunks c WHERE NOT EXISTS (SELECT FROM chunk_embeddings e JOIN embedding_spaces s "
            "ON s.id = e.space_id WHERE e.chunk_id = c.id AND s.name = %s)",
            (space,),
        ).fetchone()
    return row[0] if row else -1


def _indexes(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relname LIKE 'chunk_embeddings_hnsw_%'"
        ).fetchone()
    return row[0] if row else -1


async def _ingest(platform: Platform, numbers: range) -> None:
    await platform.ingest_items(_items(numbers), "default", quiet)


async def _build(platform: Platform, name: str) -> Any:
    return await platform.spaces.build((await platform.spaces.find(name)).id, unheard)


async def _finds(platform: Platform, *numbers: int) -> bool:
    """Whether notes are among the nearest to what they tell of; the double has words that look alike."""
    for number in numbers:
        found = await platform.search(Request(f"subject{number}", mode="dense"))
        if f"note:{number}" not in [each.chunk.uri for each in found.passages]:
            return False
    return True


async def _statuses(platform: Platform) -> dict[str, str]:
    return {each["name"]: each["status"] for each in (await platform.spaces.page())["items"]}


def test_a_space_built_while_documents_come_in_lacks_none_of_them(run: Run[object], database_url: str) -> None:
    async def work(platform: Platform) -> None:
        await _ingest(platform, range(300))
        await platform.spaces.create(WIDE)
        build = asyncio.create_task(_build(platform, "wide"))
        for start in range(300, 700, 100):
            await _ingest(platform, range(start, start + 100))
        report = await build
        assert report["status"] == "ready"

        await _ingest(platform, range(700, 750))  # after the build: the switch catches up
        assert _lacking(database_url, "wide") >= 50
        assert (await platform.spaces.switch("wide"))["status"] == "live"
        assert _lacking(database_url, "wide") == 0
        assert platform.embedder.model.dimension == 1024
        assert await _finds(platform, 5, 650, 720)

    run(work)


def test_an_ingest_under_way_ends_in_the_space_that_went_live(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    async def work(platform: Platform) -> None:
        await _ingest(platform, range(20))
        await platform.spaces.create(WIDE)
        await _build(platform, "wide")
        server.delay_seconds = 1.5
        ingest = asyncio.create_task(_ingest(platform, range(100, 130)))
        while not any("subject129" in text for text in server.texts()):
            await asyncio.sleep(0.02)
        await platform.spaces.switch("wide")
        await ingest
        assert _lacking(database_url, "wide") == 0
        assert _lacking(database_url, "test-model") == 30
        assert await _finds(platform, 115)

        server.delay_seconds = 0
        await platform.spaces.switch("test-model")
        assert _lacking(database_url, "test-model") == 0
        assert await _finds(platform, 115)

    with serve_embeddings() as server:
        remote = EmbedderSettings(kind="openai", url=server.url, model="test-model")
        on_platform(settings.model_copy(update={"embedder": remote}), work)


def test_what_is_not_complete_is_not_switched_to(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        await _ingest(platform, range(10))
        await platform.spaces.create(WIDE)
        with pytest.raises(Conflict, match="spaces build wide"):
            await platform.spaces.switch("wide")
        with pytest.raises(Conflict, match="not complete"):
            await platform.compare_spaces("wide", None, "dense", lambda *_: None)
        await _build(platform, "wide")
        await _ingest(platform, range(10, 1100))
        with pytest.raises(Conflict, match="1,000 passages"):
            await platform.spaces.switch("wide")
        assert await _statuses(platform) == {"hashing": "live", "wide": "ready"}

    run(work)


def test_a_space_has_an_index_of_its_own_and_is_dropped_with_it(run: Run[object], database_url: str) -> None:
    async def work(platform: Platform) -> None:
        await _ingest(platform, range(600))
        await platform.spaces.create(WIDE)
        await _build(platform, "wide")
        assert _indexes(database_url) == 2
        with pytest.raises(Conflict, match="Switch to another"):
            await platform.spaces.queue_drop("hashing")
        await platform.spaces.switch("wide")
        old = (await platform.spaces.find("hashing")).id
        assert await platform.spaces.drop(old, unheard) == {"name": "hashing", "removed": 600}
        assert _indexes(database_url) == 1
        assert await _statuses(platform) == {"wide": "live"}
        assert await _finds(platform, 321)
        with pytest.raises(NotFound):
            await platform.spaces.switch("hashing")

    run(work)


def test_every_open_platform_follows_a_switch(settings: Settings) -> None:
    async def work(platform: Platform) -> None:
        await _ingest(platform, range(30))
        async with open_platform(settings) as other:
            await other.ready_to_ingest()  # who searches by meaning alone needs no lexical index
            await platform.spaces.create(WIDE)
            await _build(platform, "wide")
            for name, dimension in (("wide", 1024), ("hashing", 384)):
                await platform.spaces.switch(name)
                assert platform.embedder.model.dimension == dimension
                async with asyncio.timeout(2):
                    while other.embedder.model.dimension != dimension:
                        await asyncio.sleep(0.02)
                assert await _finds(other, 7)

    on_platform(settings, work)


def test_two_spaces_are_compared_on_saved_questions(run: Run[object], settings: Settings, tmp_path: Path) -> None:
    words = [f"word{m}" for m in range(50)]
    texts = [" ".join(random.Random(n).choices(words, k=20 + n)) for n in range(60)]
    items = [Item(f"text:{n}", "text.txt", lambda n=n: texts[n].encode()) for n in range(60)]
    questions = [{"text": texts[n][:120], "relevant": {f"text:{n}": 1}} for n in range(8)]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join([*map(json.dumps, questions), '"word1 word2 word3"']))

    async def work(platform: Platform) -> None:
        await platform.ingest_items(items, "default", quiet)
        await platform.spaces.create(NewSpace("same", "hashing", dimension=384))
        await platform.spaces.create(NewSpace("tiny", "hashing", dimension=4))
        for name in ("same", "tiny"):
            await _build(platform, name)
        same = await platform.compare_spaces("same", file, "dense", lambda *_: None)
        assert (same["live"], same["candidate"], same["questions"]) == ("hashing", "same", 9)
        assert same["overlap@10"] > 0.9  # the same but for texts equally near
        assert same["same_first"] == 1
        assert (same["judged_questions"], same["live_ndcg@10"], same["candidate_ndcg@10"]) == (8, 1, 1)
        tiny = await platform.compare_spaces("tiny", file, "dense", lambda *_: None)
        assert tiny["overlap@10"] < 1
        assert tiny["candidate_ndcg@10"] < tiny["live_ndcg@10"]
        saved = settings.data_dir / "evaluations" / "spaces-hashing-tiny-dense.json"
        assert json.loads(saved.read_text()) == tiny
        with pytest.raises(Invalid, match="--questions"):
            await platform.compare_spaces("tiny", None, "dense", lambda *_: None)

    run(work)


def test_the_live_space_is_served_whatever_the_settings_name(run: Run[object], settings: Settings) -> None:
    async def before(platform: Platform) -> None:
        await _ingest(platform, range(10))

    async def after(platform: Platform) -> None:
        assert platform.embedder.model.dimension == 384
        assert await _finds(platform, 3)

    run(before)
    other = EmbedderSettings(kind="hashing", dimension=32)
    on_platform(settings.model_copy(update={"embedder": other}), after)


def test_a_model_that_has_moved_is_found_through_the_settings(settings: Settings) -> None:
    async def before(platform: Platform) -> None:
        await _ingest(platform, range(10))

    async def after(platform: Platform) -> dict[str, Any]:
        assert await _finds(platform, 3)
        return await platform.spaces.show("test-model")

    with serve_embeddings() as first:
        remote = EmbedderSettings(kind="openai", url=first.url, model="test-model")
        on_platform(settings.model_copy(update={"embedder": remote}), before)
    with serve_embeddings() as second:
        remote = EmbedderSettings(kind="openai", url=second.url, model="test-model")
        assert on_platform(settings.model_copy(update={"embedder": remote}), after)["url"] == second.url


def test_a_model_that_is_not_the_one_its_vectors_came_from_is_refused(
    run: Run[object], settings: Settings, database_url: str
) -> None:
    async def ingest(platform: Platform) -> None:
        await _ingest(platform, range(10))

    run(ingest)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE embedding_spaces SET revision = 'of another release'")
    with pytest.raises(Conflict, match="groundwork spaces create"):
        run(ingest)

    async def change_over(platform: Platform) -> None:
        await platform.spaces.create(WIDE)
        await _build(platform, "wide")
        await platform.spaces.switch("wide")
        await platform.ready()
        assert await _finds(platform, 3)

    async def without_the_live_space() -> None:
        async with open_platform(settings) as platform:
            await change_over(platform)

    asyncio.run(without_the_live_space())


def test_a_space_is_registered_only_when_its_model_answers(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        with serve_embeddings() as server:
            wrong = NewSpace("remote", "openai", server.url, "test-model", dimension=12)
            with pytest.raises(Invalid, match="384"):
                await platform.spaces.create(wrong)
            await platform.spaces.create(NewSpace("remote", "openai", server.url, "test-model", dimension=384))
            with pytest.raises(Conflict, match="already"):
                await platform.spaces.create(NewSpace("remote", "hashing"))
        for name, kind, options, reason in [
            ("a b", "hashing", {}, "name"),
            ("x", "magic", {}, "kind"),
            ("x", "openai", {"model": "m"}, "length"),
            ("x", "openvino", {"dimension": 12}, "dimension"),
            ("x", "openai", {"model": "m", "dimension": 3, "url": "http://me:secret@127.0.0.1/v1"}, "settings"),
        ]:
            with pytest.raises(Invalid, match=reason):
                await platform.spaces.create(NewSpace(name, kind, **options))
        assert await _statuses(platform) == {"hashing": "live", "remote": "building"}

    run(work)
