"""What every cache promises, in memory, in a real Redis, and in Redis with memory behind it."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from groundwork.caches import Cache
from groundwork.caches.memory import MemoryCache
from groundwork.caches.redis import RedisCache
from groundwork.caches.resilient import ResilientCache
from groundwork.errors import Invalid, Unavailable
from plugins.redis_server import REDIS, Redis, redis_server

Test = Callable[[Cache], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Generator[Redis]:
    if REDIS is None:
        pytest.skip("redis-server is not installed")
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "redis", "resilient"])
def run(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """Runs a test with a cache of each kind."""
    url = request.getfixturevalue("redis").url if request.param != "memory" else ""

    def made() -> Cache:
        if request.param == "memory":
            return MemoryCache(1 << 20)
        first = RedisCache(url, 5.0)
        return first if request.param == "redis" else ResilientCache(first, MemoryCache(1 << 20), 1.0)

    async def inside(test: Test) -> None:
        cache = made()
        try:
            await test(cache)
        finally:
            await cache.close()

    return lambda test: asyncio.run(inside(test))


def test_values_are_remembered_replaced_and_forgotten(run: Callable[[Test], None]) -> None:
    async def inside(cache: Cache) -> None:
        assert await cache.get("plain") is None
        await cache.set("plain", b"one\x00\xff", 60)
        assert await cache.get("plain") == b"one\x00\xff"
        await cache.set("plain", b"", 60)
        assert await cache.get("plain") == b""
        await cache.delete("plain")
        await cache.delete("plain")
        assert await cache.get("plain") is None

    run(inside)


def test_values_expire(run: Callable[[Test], None]) -> None:
    async def inside(cache: Cache) -> None:
        await cache.set("short", b"1", 0.05)
        await cache.update("changed", lambda _: (b"1", None), 0.05)
        await cache.set("long", b"1", 60)
        async with asyncio.timeout(20):
            while await cache.get("short") is not None or await cache.get("changed") is not None:
                await asyncio.sleep(0.02)
        assert await cache.get("long") == b"1"

    run(inside)


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_at_all_is_not_remembered(run: Callable[[Test], None], seconds: float) -> None:
    async def inside(cache: Cache) -> None:
        for set_it in (cache.set("none", b"2", seconds), cache.update("none", lambda _: (b"2", None), seconds)):
            await cache.set("none", b"1", 60)
            await set_it
            assert await cache.get("none") is None

    run(inside)


def test_a_very_long_time_is_one(run: Callable[[Test], None]) -> None:
    async def inside(cache: Cache) -> None:
        await cache.set("ever", b"1", 1e15)
        assert await cache.get("ever") == b"1"

    run(inside)


def test_an_update_sees_the_value_changes_it_and_answers(run: Callable[[Test], None]) -> None:
    async def inside(cache: Cache) -> None:
        seen: list[bytes | None] = []

        def change(value: bytes | None) -> tuple[bytes | None, str]:
            seen.append(value)
            return ((value or b"") + b"x" if value != b"xx" else None), f"after {value!r}"

        await cache.delete("stepwise")
        assert [await cache.update("stepwise", change, 60) for _ in range(3)] == [
            "after None",
            "after b'x'",
            "after b'xx'",
        ]
        assert seen == [None, b"x", b"xx"]
        assert await cache.get("stepwise") is None

    run(inside)


def test_updates_at_once_lose_nothing(run: Callable[[Test], None]) -> None:
    def count(value: bytes | None) -> tuple[bytes, int]:
        number = int(value or b"0") + 1
        return str(number).encode(), number

    async def inside(cache: Cache) -> None:
        await cache.delete("count")
        answers = await asyncio.gather(*(cache.update("count", count, 60) for _ in range(300)))
        assert sorted(answers) == list(range(1, 301))
        assert await cache.get("count") == b"300"

    run(inside)


def test_a_change_that_fails_changes_nothing(run: Callable[[Test], None]) -> None:
    def fail(_: bytes | None) -> tuple[bytes, None]:
        raise LookupError("no")

    async def inside(cache: Cache) -> None:
        await cache.set("kept", b"1", 60)
        with pytest.raises(LookupError):
            await cache.update("kept", fail, 60)
        assert await cache.get("kept") == b"1"

    run(inside)


def test_clients_of_one_redis_change_one_value_and_lose_nothing(redis: Redis) -> None:
    def count(value: bytes | None) -> tuple[bytes, int]:
        number = int(value or b"0") + 1
        return str(number).encode(), number

    async def inside() -> None:
        caches = [RedisCache(redis.url, 5.0) for _ in range(8)]
        answers = await asyncio.gather(*(cache.update("shared", count, 60) for cache in caches for _ in range(25)))
        assert sorted(answers) == list(range(1, 201))
        for cache in caches:
            await cache.close()

    asyncio.run(inside())


def test_more_at_once_than_connections_wait_for_their_turn(redis: Redis) -> None:
    async def inside() -> None:
        cache = RedisCache(redis.url, 5.0)
        await cache.set("many", b"1", 60)
        assert await asyncio.gather(*(cache.get("many") for _ in range(1000))) == [b"1"] * 1000
        await cache.close()

    asyncio.run(inside())


def test_memory_stays_within_its_bytes_and_forgets_what_was_not_used_longest() -> None:
    async def inside() -> None:
        cache = MemoryCache(10_000)
        for number in range(100):
            await cache.set(f"k{number}", bytes(500), 60)
            await cache.get("k0")
            assert cache.size <= 10_000
        assert await cache.get("k0") is not None
        assert await cache.get("k1") is None
        assert await cache.get("k99") is not None
        await cache.set("huge", bytes(20_000), 60)
        assert await cache.get("huge") is None
        assert await cache.get("k99") is not None, "nothing made room for what could not be kept"
        for number in range(100):
            await cache.delete(f"k{number}")
        assert cache.size == 0

    asyncio.run(inside())


def test_time_that_memory_sees_decides() -> None:
    now = 0.0

    async def inside() -> None:
        nonlocal now
        cache = MemoryCache(1 << 20, lambda: now)
        await cache.set("a", b"1", 10)
        now = 9.9
        assert await cache.get("a") == b"1"
        now = 10.0
        assert await cache.get("a") is None
        assert cache.size == 0

    asyncio.run(inside())


@pytest.mark.parametrize("url", ["http://:canary@h/0", "redis://:canary@h:port/0", "canary"])
def test_an_address_that_is_none_is_refused_without_saying_it(url: str) -> None:
    with pytest.raises(Invalid, match="address of Redis") as refused:
        RedisCache(url, 0.1)
    assert "canary" not in str(refused.value)


def test_a_redis_that_is_not_there_is_said_without_its_password() -> None:
    async def inside() -> None:
        cache = RedisCache("redis://:canary@127.0.0.1:1/0", 5.0)
        with pytest.raises(Unavailable, match="does not answer") as refused:
            await cache.get("a")
        assert "canary" not in str(refused.value)
        await cache.close()

    asyncio.run(inside())
