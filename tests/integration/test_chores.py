"""Daily chores of the worker: done at its start, by one worker for all, and whatever fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from groundwork.access.audit import log
from groundwork.assembly import Platform, open_platform
from groundwork.errors import Unavailable
from groundwork.settings import AuthSettings, Settings
from groundwork.store.runner import runner
from groundwork.worker import chores
from plugins.installation import on_platform, working
from plugins.service import service

_OLD = """
ALTER TABLE audit_log DISABLE TRIGGER ALL;
UPDATE audit_log SET at = now() - interval '8 days' WHERE id <= 3;
INSERT INTO login_failures VALUES ('account', 'ada', 3, now() - interval '25 hours', NULL),
    ('account', 'bob', 3, now() - interval '23 hours', NULL);
INSERT INTO revoked_tokens VALUES (gen_random_uuid(), now() - interval '1 second'),
    (gen_random_uuid(), now() + interval '1 minute')
"""


async def _age(platform: Platform) -> None:
    """Things of which some are old enough to go."""
    for n in range(5):
        await log.record(platform.database, log.Deed("tester", "tested", f"thing {n}"))
    with psycopg.connect(platform.database.url, autocommit=True) as admin:
        admin.execute(_OLD)


async def _left(platform: Platform) -> tuple[list[str], list[str], int]:
    """Actions in the audit log, accounts with failures, and revoked tokens."""
    entries = (await log.page(platform.database))["items"]
    failures = await platform.database.fetch("SELECT name FROM login_failures ORDER BY name")
    tokens = await platform.database.fetch("SELECT id FROM revoked_tokens")
    return [each["action"] for each in entries], [row[0] for row in failures], len(tokens)


_DONE = (["audit_pruned", "tested", "tested", "tested"], ["bob"], 1)


def _keeping_a_week(settings: Settings) -> Settings:
    return settings.model_copy(update={"auth": AuthSettings(audit_days=7)})


async def _until(condition: Callable[[], Awaitable[bool]], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def test_what_was_kept_long_enough_is_forgotten(settings: Settings) -> None:
    async def inside(platform: Platform) -> None:
        await _age(platform)
        assert await chores.do(platform)
        assert await _left(platform) == _DONE
        assert (platform.settings.data_dir / "metrics" / "security.prom").is_file()
        pruned = (await log.page(platform.database))["items"][0]
        assert (pruned["actor"], pruned["subject"]) == ("worker", "2 entries")

    on_platform(_keeping_a_week(settings), inside)


def test_a_worker_does_them_when_it_starts(settings: Settings) -> None:
    async def inside(platform: Platform) -> None:
        await _age(platform)

        async def done() -> bool:
            return (platform.settings.data_dir / "metrics" / "security.prom").is_file()

        async with working(platform):
            assert await _until(done)
        assert await _left(platform) == _DONE

    on_platform(_keeping_a_week(settings), inside)


def test_one_that_fails_keeps_neither_the_others_nor_jobs_from_being_done(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object) -> int:
        raise Unavailable("The log cannot be pruned today.")

    monkeypatch.setattr(log, "prune", broken)

    async def inside(platform: Platform) -> None:
        await _age(platform)
        assert not await chores.do(platform)
        assert (await _left(platform))[1:] == _DONE[1:]
        async with working(platform):
            document = await platform.accept_upload("default", "a.md", b"# One\n\nWords.")

            async def taken() -> bool:
                return (await platform.catalog.document(document["id"]))["status"] == "ready"

            assert await _until(taken)

    on_platform(_keeping_a_week(settings), inside)
    said = capsys.readouterr()
    assert "The log cannot be pruned today." in said.err + said.out


def test_several_workers_do_them_once_and_one_takes_over(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[Platform] = []

    async def count(platform: Platform) -> bool:
        did.append(platform)
        return True

    monkeypatch.setattr(chores, "do", count)
    monkeypatch.setattr(chores, "_OTHERS_TURN_SECONDS", 0.05)

    async def inside(platform: Platform) -> None:
        async def both() -> bool:
            return len(did) == 2

        async with open_platform(settings) as other, working(platform):
            assert await _until(lambda: _equal(len(did), 1))
            async with working(other):
                await asyncio.sleep(0.5)
                assert did == [platform], "the second waits for its turn"
        did.clear()
        async with open_platform(settings) as other, runner(platform.database.url) as first:
            assert await first.takes_on(chores._DUTY)  # type: ignore[reportPrivateUsage]
            async with working(other):
                await asyncio.sleep(0.3)
                assert did == []
                await first.lifeline.close()
                assert await _until(lambda: _equal(did, [other])), "it takes over once the first is gone"

    on_platform(settings, inside)


async def _equal(one: object, other: object) -> bool:
    return one == other


def test_a_service_keeps_its_report_up_to_date(settings: Settings, database_url: str) -> None:
    file: Path = settings.data_dir / "metrics" / "security.prom"
    with service(settings.data_dir, DATABASE_URL=database_url):
        deadline = time.monotonic() + 15
        while not file.is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert "rag_failed_logins_30d 0\n" in file.read_text()
