"""Uploads that meet each other, or a removal, on their way in."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from uuid import UUID

import pytest

from groundwork.assembly import Platform, Request
from groundwork.errors import NotFound
from groundwork.ingest.items import Item, Known, Outcome
from groundwork.ingest.steps import Steps
from plugins.installation import Run, unheard


def _nothing_to_close() -> SimpleNamespace:
    return SimpleNamespace(close=lambda: None)


async def _take(platform: Platform, job_id: str) -> dict[str, object]:
    job = await platform.jobs.show(UUID(job_id))
    arguments = job["arguments"]
    taken = await platform.take_upload(
        UUID(arguments["document_id"]), unheard, bytes.fromhex(arguments["content_hash"])
    )
    return dict(taken)


def test_the_newest_of_two_uploads_of_a_name_wins(run: Run[object]) -> None:
    """The first is still being taken in when the second is accepted."""

    async def inside(platform: Platform) -> None:
        first = await platform.accept_upload("default", "note.txt", b"The first edition names the heron.")
        second = await platform.accept_upload("default", "note.txt", b"The second edition names the stork.")
        assert first["id"] == second["id"]
        for each in (first, second):
            await _take(platform, each["job_id"])
        document = await platform.catalog.document(first["id"])
        assert (document["status"], document["error"]) == ("ready", None)
        assert "stork" in (await platform.catalog.text(first["id"]))["text"]
        assert "stork" in (await platform.search(Request("edition"))).passages[0].chunk.text

    run(inside)


def test_a_document_removed_before_or_while_it_is_taken_in_stays_removed(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        halfway = await platform.accept_upload("default", "half.txt", b"Removed while it was being embedded.")
        prepare = platform.pipeline.preparer.prepare
        loop = asyncio.get_running_loop()

        def and_somebody_removes_it(item: Item, known: Mapping[str, Known], steps: Steps) -> Outcome:
            asyncio.run_coroutine_threadsafe(platform.delete_document(halfway["id"]), loop).result(30)
            return prepare(item, known, steps)

        object.__setattr__(platform.pipeline, "preparer", SimpleNamespace(prepare=and_somebody_removes_it))
        with pytest.raises(NotFound):
            await _take(platform, halfway["job_id"])
        object.__setattr__(
            platform.pipeline, "preparer", SimpleNamespace(prepare=prepare, extractor=_nothing_to_close())
        )
        assert (await platform.catalog.documents())["items"] == []

        upload = await platform.accept_upload("default", "note.txt", b"This one was removed at once.")
        await platform.delete_document(upload["id"])
        with pytest.raises(NotFound):
            await _take(platform, upload["job_id"])
        assert (await platform.catalog.documents())["items"] == []

    run(inside)
