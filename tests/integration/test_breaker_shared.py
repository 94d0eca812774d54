"""One circuit for all processes: two Pythons and a real Redis, and the operator's switch in PostgreSQL."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Any

import psycopg
import pytest

from groundwork.caches.memory import MemoryCache
from groundwork.llms import ModelFailed
from groundwork.llms.breaker import Breaker
from groundwork.llms.breakers import Breakers
from groundwork.settings import DatabaseSettings, LlmSettings
from groundwork.settings.models import ProviderSettings
from groundwork.store.database import Database
from plugins.redis_server import REDIS, redis_server

_PROCESS = """
import asyncio, json, sys
from groundwork.caches.redis import RedisCache
from groundwork.llms import ModelFailed
from groundwork.llms.breaker import Breaker, rules
from groundwork.settings import LlmSettings
from groundwork.telemetry import logs

logs.configure("human", "error")
now = 0.0

async def main():
    global now
    cache = RedisCache(sys.argv[1], 10.0)
    held = []
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        what, said = line[0], "ok"
        if what == "new":
            breaker, now = Breaker(line[1], cache, rules(LlmSettings()), clock=lambda: now), 1_000_000.0
        elif what == "now":
            now = float(line[1])
        elif what == "admit":
            try:
                held.append(await breaker.admit())
            except ModelFailed as error:
                said = [error.outcome, error.retry_after]
        elif what != "state":
            await getattr(breaker, what)(held.pop(0))
        print(json.dumps([said, await breaker.state()]), flush=True)
    await cache.close()

asyncio.run(main())
"""


class Process:
    """A breaker in a process of its own."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROCESS, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, line: str) -> Any:
        """What it answers, and the state it sees."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Process, Process]]:
    if REDIS is None:
        pytest.skip("redis-server is not installed")
    with redis_server(tmp_path_factory.mktemp("redis")) as redis:
        one, other = Process(redis.url), Process(redis.url)
        try:
            yield one, other
        finally:
            one.end()
            other.end()


def test_two_processes_see_one_sequence_of_states(two: tuple[Process, Process]) -> None:
    one, other = two
    for each in two:
        assert each("new shared") == ["ok", "closed"]
    for number in range(4):
        each = one if number % 2 else other
        assert each("admit") == ["ok", "closed"]
        assert each("fail") == ["ok", "closed"]
    assert other("admit") == ["ok", "closed"]
    assert other("fail") == ["ok", "open"], "the fifth in a row, whoever saw the others"
    assert one("admit") == [["circuit_open", 30.0], "open"]

    for each in two:
        each("now 1000030")
    assert one("state") == ["ok", "half_open"]
    assert one("admit") == ["ok", "half_open"]
    assert other("admit") == [["circuit_open", 1.0], "half_open"], "one probe for both"
    assert one("succeed") == ["ok", "half_open"]
    assert other("admit") == ["ok", "half_open"]
    assert other("fail") == ["ok", "open"]

    for each in two:
        each("now 1000060")
    for each, after in ((one, "half_open"), (other, "half_open"), (one, "closed")):
        assert each("admit") == ["ok", "half_open"]
        assert each("succeed") == ["ok", after]
    assert other("state") == ["ok", "closed"]


def test_a_probe_whose_process_was_killed_is_forgotten(two: tuple[Process, Process]) -> None:
    one, other = two
    for each in two:
        assert each("new probed") == ["ok", "closed"]
    for _ in range(5):
        one("admit")
        one("fail")
    for each in two:
        each("now 1000030")
    assert one("admit") == ["ok", "half_open"]
    one.end()
    assert other("admit") == [["circuit_open", 1.0], "half_open"]
    other("now 1000045")
    assert other("admit") == ["ok", "half_open"]


_SETTINGS = LlmSettings(
    providers=[ProviderSettings(name=name, kind="groq", models=["m"]) for name in ("first", "second")], discover=False
)


async def _met(breaker: Breaker) -> str:
    try:
        await breaker.drop(await breaker.admit())
    except ModelFailed as error:
        return error.message
    return "admitted"


def test_the_switch_holds_in_another_process_within_about_a_second(database_url: str) -> None:
    async def inside() -> None:
        database = Database(database_url, DatabaseSettings())
        await database.open()
        serving = Breakers(database, MemoryCache(1 << 20), _SETTINGS)
        command = Breakers(database, MemoryCache(1 << 20), _SETTINGS)
        breaker = serving.of("first")
        assert await _met(breaker) == "admitted"

        held = await command.switch("first", "open", "operator:ada", serving=False)
        assert (held["state"], held["switch"], held["by"]) == ("open", "open", "operator:ada")
        await _until(breaker, "first was taken out of use by an operator.")
        assert await _met(serving.of("second")) == "admitted"
        assert [each["switch"] for each in (await serving.page())["items"]] == ["open", "auto"]

        await command.switch("first", "closed", "operator:ada")
        await _until(breaker, "admitted")
        for _ in range(10):
            await breaker.fail(await breaker.admit())
        assert (await breaker.look()).state == "closed", "held closed, it is asked whatever happens"

        back = await command.switch("first", "auto", "operator:ada", serving=False)
        assert (back["state"], back["switch"], back["by"]) == (None, "auto", None)
        await asyncio.gather(serving.close(), command.close())
        await database.close()

    asyncio.run(inside())


async def _until(breaker: Breaker, met: str) -> None:
    began = time.monotonic()
    while await _met(breaker) != met:
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.05)


def test_a_database_that_does_not_answer_costs_a_moment_and_no_request(database_url: str) -> None:
    async def inside() -> None:
        database = Database(database_url, DatabaseSettings(query_timeout_seconds=5))
        await database.open()
        breakers = Breakers(database, MemoryCache(1 << 20), _SETTINGS)
        await breakers.switch("first", "open", "operator:ada")
        breaker = breakers.of("first")
        await _until(breaker, "first was taken out of use by an operator.")

        async with await psycopg.AsyncConnection.connect(database_url) as other, other.transaction():
            await other.execute("LOCK TABLE provider_switches IN ACCESS EXCLUSIVE MODE")
            began, asked = time.monotonic(), 0
            while time.monotonic() - began < 2:
                assert "operator" in await _met(breaker), "what was seen last holds"
                await asyncio.sleep(0.01)
                asked += 1
            assert asked > 40, "they wait once for a look that takes long, not each"
            await other.execute("DELETE FROM provider_switches")
        await _until(breaker, "admitted")
        await breakers.close()
        await database.close()

    asyncio.run(inside())


def test_a_database_that_is_gone_fails_no_request(database_url: str) -> None:
    async def inside() -> None:
        database = Database(database_url, DatabaseSettings())
        await database.open()
        breakers = Breakers(database, MemoryCache(1 << 20), _SETTINGS)
        await database.close()
        assert [await _met(breakers.of("first")) for _ in range(3)] == ["admitted"] * 3
        await breakers.close()

    asyncio.run(inside())
