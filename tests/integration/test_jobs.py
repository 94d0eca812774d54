"""Jobs: nothing stalls silently, nothing is lost, and a person can see and steer it."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from groundwork.assembly import Platform, Request, open_platform
from groundwork.clock import utc_now
from groundwork.errors import Conflict, Invalid, NotFound
from groundwork.ingest.registry import NewSource
from groundwork.settings import EmbedderSettings, Settings
from plugins.embedding_server import EmbeddingServer, Reply, serve_embeddings
from plugins.installation import Run, on_platform, working, write

FILES = {f"{n:02}.md": f"# Note {n}\n\nThis is note number {n} about marker{n}.\n" for n in range(12)}


def remote(settings: Settings, server: EmbeddingServer) -> Settings:
    """The same settings with an embedding server that can be slow or out of order."""
    embedder = EmbedderSettings(kind="openai", url=server.url, model="test-model", dimension=384)
    return settings.model_copy(update={"embedder": embedder})


async def until(platform: Platform, job_id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job once the condition holds."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        job = await platform.jobs.show(UUID(job_id))
        if condition(job):
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(f"it did not come to that: {job}")


def ended(job: dict[str, Any]) -> bool:
    return job["status"] in {"succeeded", "failed", "cancelled"}


def test_a_queued_sync_is_done_and_tells_what_it_did(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        job = await platform.sources.queue_sync(await platform.sources.find("notes"))
        assert (job["status"], job["attempts"]) == ("waiting", 0)
        same = await platform.sources.queue_sync(await platform.sources.find("notes"))
        assert same["id"] == job["id"], "one that waits is enough"
        async with working(platform):
            done = await until(platform, job["id"], ended)
            assert done["status"] == "succeeded"
            assert (done["result"]["added"], done["attempts"], done["error"]) == (12, 1, None)
            assert done["running_seconds"] > 0
            assert (await platform.search(Request("marker7"))).passages[0].chunk.uri.endswith("07.md")
            listed = await platform.jobs.page(status="succeeded", kind="sync")
            assert [each["id"] for each in listed] == [job["id"]]

    run(inside)


def test_what_may_pass_is_tried_again_later_and_later(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", FILES)
    with serve_embeddings() as server:

        async def inside(platform: Platform) -> None:
            await platform.sources.add(NewSource("notes", str(folder)))
            server.replies.extend(Reply(500) for _ in range(5))
            job = await platform.sources.queue_sync(await platform.sources.find("notes"))
            async with working(platform):
                waiting = await until(platform, job["id"], lambda each: each["status"] == "retrying")
                assert waiting["error"]
                assert waiting["next_attempt_at"] > waiting["started_at"]
                done = await until(platform, job["id"], ended)
                assert (done["status"], done["attempts"], done["error"]) == ("succeeded", 2, None)
                assert done["result"]["added"] == 12

        on_platform(remote(settings, server), inside)


def test_what_will_not_pass_fails_at_once_with_a_reason_and_can_be_retried(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        folder.rename(tmp_path / "elsewhere")
        job = await platform.sources.queue_sync(await platform.sources.find("notes"))
        async with working(platform):
            failed = await until(platform, job["id"], ended)
            assert (failed["status"], failed["error_kind"], failed["attempts"]) == ("failed", "not_found", 1)
            assert "notes" in failed["error"]
            (tmp_path / "elsewhere").rename(folder)
            await platform.jobs.retry(UUID(job["id"]))
            assert (await until(platform, job["id"], ended))["status"] == "succeeded"
            with pytest.raises(Conflict):
                await platform.jobs.retry(UUID(job["id"]))
            with pytest.raises(Conflict):
                await platform.jobs.cancel(UUID(job["id"]))

    run(inside)


def test_a_vanished_source_removes_no_document(run: Run[object], tmp_path: Path) -> None:
    """A folder that is not there is not an empty folder."""
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        source = await platform.sources.find("notes")
        await platform.sync_source(source.id, lambda progress: None)
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(NotFound):
            await platform.sync_source(source.id, lambda progress: None)
        assert (await platform.catalog.collection("default"))["documents"] == 12

    run(inside)


def test_a_job_can_be_cancelled_waiting_or_running(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", {f"{n}.md": f"# N{n}\n\n" + f"words of {n}. " * 400 for n in range(60)})
    with serve_embeddings() as server:
        server.delay_seconds = 0.2

        async def inside(platform: Platform) -> None:
            await platform.sources.add(NewSource("notes", str(folder)))
            source = await platform.sources.find("notes")
            waiting = await platform.sources.queue_sync(source)
            assert (await platform.jobs.cancel(UUID(waiting["id"])))["status"] == "cancelled"

            job = await platform.sources.queue_sync(source)
            assert job["id"] != waiting["id"]
            async with working(platform):
                await until(platform, job["id"], lambda each: each["progress"].get("done", 0) > 0)
                await platform.jobs.cancel(UUID(job["id"]))
                cancelled = await until(platform, job["id"], ended)
                assert cancelled["status"] == "cancelled"
                kept = (await platform.catalog.collection("default"))["documents"]
                assert 0 < kept < 60

        on_platform(remote(settings, server), inside)


def test_an_upload_does_not_wait_behind_bulk_syncs(settings: Settings, tmp_path: Path) -> None:
    with serve_embeddings() as server:
        server.delay_seconds = 0.5

        async def inside(platform: Platform) -> None:
            for name in ("a", "b", "c"):
                folder = write(
                    tmp_path / name, {f"{n}.md": f"# {name}{n}\n\n" + f"{name} {n} words. " * 300 for n in range(60)}
                )
                await platform.sources.add(NewSource(name, str(folder)))
                await platform.sources.queue_sync(await platform.sources.find(name))
            async with working(platform):
                await asyncio.sleep(0.5)
                document = await platform.accept_upload("default", "urgent.md", b"# Urgent\n\nSomebody waits for this.")
                await until(platform, document["job_id"], ended)
                busy = await platform.jobs.counts()
                assert (await platform.catalog.document(document["id"]))["status"] == "ready"
                assert busy.get("running", 0) + busy.get("waiting", 0) >= 2, "the bulk syncs were still at work"

        on_platform(remote(settings, server), inside)


def test_waiting_and_stuck_are_told_apart(run: Run[object], tmp_path: Path, database_url: str) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        job = await platform.sources.queue_sync(await platform.sources.find("notes"))
        assert (await platform.jobs.show(UUID(job["id"])))["status"] == "waiting"
        assert await platform.jobs.oldest_waiting_seconds() >= 0
        with psycopg.connect(database_url, autocommit=True) as admin:  # as a worker leaves it that was killed
            admin.execute("UPDATE procrastinate_jobs SET status = 'doing'")
            admin.execute("UPDATE jobs SET runner = 12345, started_at = now()")
        assert (await platform.jobs.show(UUID(job["id"])))["status"] == "stalled"
        async with working(platform):
            done = await until(platform, job["id"], ended)
            assert (done["status"], done["attempts"]) == ("succeeded", 2)

    run(inside)


def test_a_job_that_kills_its_worker_every_time_is_given_up_with_a_reason(
    run: Run[object], tmp_path: Path, database_url: str
) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        job = await platform.sources.queue_sync(await platform.sources.find("notes"))
        for _ in range(5):
            with psycopg.connect(database_url, autocommit=True) as admin:
                admin.execute("UPDATE procrastinate_jobs SET status = 'doing'")
                admin.execute("UPDATE jobs SET runner = 12345, started_at = now()")
            await platform.jobs.rescue_orphans()
        given_up = await platform.jobs.show(UUID(job["id"]))
        assert given_up["status"] == "failed"
        assert "died 5 times" in given_up["error"]

    run(inside)


def test_a_job_that_gets_on_is_never_given_up_however_often_its_worker_dies(
    run: Run[object], tmp_path: Path, database_url: str
) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        job = await platform.sources.queue_sync(await platform.sources.find("notes"))
        for death in range(12):
            with psycopg.connect(database_url, autocommit=True) as admin:
                admin.execute("UPDATE procrastinate_jobs SET status = 'doing'")
                admin.execute("UPDATE jobs SET runner = 12345, started_at = now()")
            if death % 4 == 3:
                await platform.jobs.progressed(UUID(job["id"]), {"step": "embed", "done": death, "total": 12}, True)
            await platform.jobs.rescue_orphans()
        async with working(platform):
            done = await until(platform, job["id"], ended)
        assert (done["status"], done["attempts"], done["result"]["added"]) == ("succeeded", 13, 12)
        assert (done["progress"]["done"], done["progress"]["now"]) == (12, {})

    run(inside)


def test_several_workers_share_the_queue_and_no_job_runs_twice(settings: Settings, tmp_path: Path) -> None:
    with serve_embeddings() as server:

        async def inside(platform: Platform) -> None:
            async with open_platform(remote(settings, server)) as other:
                await other.ready()
                jobs: list[str] = []
                for n in range(8):
                    folder = write(tmp_path / f"s{n}", {"a.md": f"# Source {n}\n\nUnique words of source {n}."})
                    await platform.sources.add(NewSource(f"s{n}", str(folder)))
                    jobs.append((await platform.sources.queue_sync(await platform.sources.find(f"s{n}")))["id"])
                async with working(platform), working(other):
                    for job_id in jobs:
                        assert (await until(platform, job_id, ended))["status"] == "succeeded"
            passages = Counter(text for text in server.texts() if text.startswith("Source"))
            assert len(passages) == 8
            assert set(passages.values()) == {1}

        on_platform(remote(settings, server), inside)


def test_a_worker_that_lost_the_database_goes_on_by_itself(run: Run[object], tmp_path: Path, database_url: str) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        async with working(platform):
            await asyncio.sleep(0.5)
            with psycopg.connect(database_url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await asyncio.sleep(2.5)  # it has noticed, and waited
            job = await platform.sources.queue_sync(await platform.sources.find("notes"))
            assert (await until(platform, job["id"], ended))["status"] == "succeeded"

    run(inside)


def test_a_due_source_is_queued_once_and_its_next_time_set(run: Run[object], tmp_path: Path, database_url: str) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        added = await platform.sources.add(NewSource("notes", str(folder), schedule="*/5 * * * *"))
        assert added["next_sync_at"] > utc_now().isoformat()
        assert await platform.sources.queue_due() == []
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute("UPDATE sources SET next_sync_at = now() - interval '1 minute'")
        assert await platform.sources.queue_due() == ["notes"]
        assert await platform.sources.queue_due() == []
        assert len(await platform.jobs.page(status="waiting")) == 1
        with pytest.raises(Invalid, match="cron"):
            await platform.sources.add(NewSource("other", str(folder), schedule="every now and then"))

    run(inside)


def test_a_dry_run_lists_what_would_happen_and_touches_nothing(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        source = await platform.sources.find("notes")
        assert len((await platform.plan_sync("notes", None))["new"]) == 12
        assert (await platform.catalog.documents())["items"] == []
        await platform.sync_source(source.id, lambda progress: None)
        (folder / "03.md").write_text("# Note 3\n\nChanged.")
        (folder / "04.md").unlink()
        (folder / "new.md").write_text("# New\n\nNew.")
        plan = await platform.plan_sync("notes", None)
        names = {key: [Path(uri).name for uri in plan[key]] for key in ("new", "changed", "removed")}
        assert names == {"new": ["new.md"], "changed": ["03.md"], "removed": ["04.md"]}
        assert plan["unchanged"] == 10
        assert (await platform.catalog.collection("default"))["documents"] == 12

    run(inside)


def test_removing_a_source_removes_its_documents_everywhere(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        await platform.sync_source((await platform.sources.find("notes")).id, lambda progress: None)
        removed = await platform.remove_source("notes", None)
        assert removed["documents"] == 12
        assert platform.lexical.index.count() == 0
        assert (await platform.catalog.documents())["items"] == []
        with pytest.raises(NotFound):
            await platform.sources.find("notes")

    run(inside)


def test_progress_is_json_anyone_can_read(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", FILES)

    async def inside(platform: Platform) -> None:
        await platform.sources.add(NewSource("notes", str(folder)))
        told: list[dict[str, Any]] = []
        source = await platform.sources.find("notes")
        await platform.sync_source(source.id, lambda progress: told.append(dict(progress)))
        assert [each["step"] for each in told][:1] == ["fetch"]
        assert {"fetch", "publish"} <= {each["step"] for each in told}
        assert told[-1]["step"] == "indexing"
        assert told[-1]["done"] == told[-1]["total"] == 12
        assert json.loads(json.dumps(told)) == told

    run(inside)
