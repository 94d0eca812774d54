"""The door to PostgreSQL when the server hangs, is slow, or is handed what it cannot hold."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from groundwork.errors import Invalid, StoreUnavailable
from groundwork.settings import DatabaseSettings
from groundwork.store.database import Database
from groundwork.store.embedded import EmbeddedServer
from groundwork.store.migrate import migrate
from plugins.embedded_process import postgres_processes

_PATIENCE_SECONDS = 1.0


def _on(url: str, work: Callable[[Database], Awaitable[None]]) -> None:
    async def inside() -> None:
        settings = DatabaseSettings(pool_min=1, pool_max=2, query_timeout_seconds=_PATIENCE_SECONDS)
        database = Database(url, settings)
        await database.open()
        try:
            await work(database)
        finally:
            await database.close()

    asyncio.run(inside())


@contextmanager
def _stopped(data_dir: Path) -> Generator[None]:
    stopped = postgres_processes(data_dir)
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_a_database_that_hangs_is_noticed_and_works_again_afterwards(data_dir: Path) -> None:
    async def work(database: Database) -> None:
        with _stopped(data_dir):
            for _ in range(4):  # twice as many as there are connections
                began = time.monotonic()
                with pytest.raises(StoreUnavailable, match=r"did not answer within 1 s"):
                    await database.fetch("SELECT 1")
                assert time.monotonic() - began < 3 * _PATIENCE_SECONDS
        deadline = time.monotonic() + 30
        while True:
            try:
                assert await database.fetch("SELECT 1") == [(1,)]
                break
            except StoreUnavailable:
                assert time.monotonic() < deadline, "connections that hung were never replaced"

    with EmbeddedServer(data_dir, 60.0, durable=False) as server:
        migrate(server.url)
        _on(server.url, work)


def test_a_closing_waits_for_no_server_that_hangs(data_dir: Path) -> None:
    async def work(database: Database) -> None:
        with _stopped(data_dir):
            with pytest.raises(StoreUnavailable):
                await database.fetch("SELECT 1")
            began = time.monotonic()
            await database.close()
            assert time.monotonic() - began < 10

    with EmbeddedServer(data_dir, 60.0, durable=False) as server:
        migrate(server.url)
        _on(server.url, work)


def test_only_a_read_that_is_not_patient_has_a_deadline(database_url: str) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(StoreUnavailable, match="QUERY_TIMEOUT_SECONDS"):
            await database.fetch("SELECT 1 FROM pg_sleep(2)")
        assert await database.fetch_one("SELECT 2 FROM pg_sleep(1.5)", patient=True) == (2,)
        async with database.transaction() as connection:
            cursor = await connection.execute("SELECT 3 FROM pg_sleep(1.5)")
            assert await cursor.fetchone() == (3,)
        assert await database.fetch_one("SELECT 4") == (4,)
        running = (
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT 1 FROM pg_sleep%%' AND state = 'active'"
        )
        assert await database.fetch_one(running) == (0,), "the read that was given up still runs on the server"

    _on(database_url, work)


def test_a_caller_that_is_cancelled_cancels_its_read(database_url: str) -> None:
    async def work(database: Database) -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await database.fetch("SELECT 1 FROM pg_sleep(20)", patient=True)
        await database.close()
        assert time.monotonic() - began < 10

    _on(database_url, work)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["NUL", "lone surrogate"])
def test_text_that_cannot_be_stored_is_invalid_wherever_it_comes_in(database_url: str, text: str) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(Invalid, match="surrogate"):
            await database.fetch("SELECT %s::text", (text,))
        with pytest.raises(Invalid, match="surrogate"):
            async with database.transaction() as connection:
                await connection.execute("SELECT %s::text", (text,))
        with pytest.raises(Invalid, match="surrogate"):
            async with database.connection() as connection:
                await connection.execute("SELECT %s::text", (text,))
        assert await database.fetch("SELECT 1") == [(1,)]

    _on(database_url, work)
