"""Redis killed, paused and slowed down under many requests: none fails, none waits long, and it is used again by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from groundwork.caches.memory import MemoryCache
from groundwork.caches.redis import RedisCache
from groundwork.caches.resilient import ResilientCache
from groundwork.telemetry import metrics
from plugins.redis_server import REDIS, Redis, redis_server
from plugins.slow_proxy import slow_proxy

pytestmark = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")

_TIMEOUT = 0.5
_PROBE = 0.1
_AT_ONCE = 200


@pytest.fixture
def redis(tmp_path: Path) -> Generator[Redis]:
    with redis_server(tmp_path) as server:
        yield server
        with suppress(AssertionError):
            server.go_on()


@pytest.fixture(autouse=True)
def told() -> Generator[list[structlog.types.EventDict]]:
    with capture_logs() as told:
        yield told


def _said(told: list[structlog.types.EventDict], words: str) -> int:
    return sum(words in each["event"] for each in told)


class Traffic:
    """Many who read and change values without a pause."""

    def __init__(self, cache: ResilientCache) -> None:
        self.cache = cache
        self.done = 0
        self.since = self.slowest = 0.0
        self._stopped = False

    async def _one(self, number: int) -> None:
        while not self._stopped:
            began = time.monotonic()
            key = f"k{number % 10}"
            await self.cache.update(key, lambda value: (str(int(value or b"0") + 1).encode(), None), 60)
            await self.cache.get(key)
            if began >= self.since:
                self.slowest = max(self.slowest, time.monotonic() - began)
            self.done += 1
            await asyncio.sleep(0.002)

    async def during(self, faults: Callable[[], Awaitable[None]]) -> None:
        """Goes on while the faults happen, and a little longer. Any failure of a request fails the test."""
        async with asyncio.TaskGroup() as group:
            for number in range(_AT_ONCE):
                group.create_task(self._one(number))
            await self.some_more()
            await faults()
            await self.some_more()
            self._stopped = True

    async def slowest_from_now(self) -> float:
        """How long the slowest request of the next many takes, of those that have not begun yet."""
        self.since, self.slowest = time.monotonic(), 0.0
        for _ in range(5):
            await self.some_more()
        return self.slowest

    async def some_more(self) -> None:
        """Returns when as many requests again have been answered."""
        wanted = self.done + _AT_ONCE
        async with asyncio.timeout(30):
            while self.done < wanted:
                await asyncio.sleep(0.01)


async def _until(cache: ResilientCache, active: bool) -> None:
    async with asyncio.timeout(30):
        while cache.fallback_active is not active:
            await asyncio.sleep(0.01)
    assert metrics.REGISTRY.get_sample_value("rag_cache_fallback_active") == int(active)


def _cache(url: str) -> ResilientCache:
    return ResilientCache(RedisCache(url, _TIMEOUT), MemoryCache(1 << 20), _PROBE)


def test_a_redis_that_is_killed_costs_nobody_an_answer(redis: Redis, told: list[structlog.types.EventDict]) -> None:
    async def inside() -> None:
        cache = _cache(redis.url)
        traffic = Traffic(cache)

        async def faults() -> None:
            redis.kill()
            await _until(cache, True)
            await traffic.some_more()
            await asyncio.to_thread(redis.start)
            await _until(cache, False)

        await traffic.during(faults)
        await cache.close()

    asyncio.run(inside())
    assert _said(told, "FALLBACK ACTIVATED") == 1
    assert _said(told, "Redis answers again") == 1


def test_a_redis_that_is_paused_costs_one_time_out_and_then_nothing(
    redis: Redis, told: list[structlog.types.EventDict]
) -> None:
    async def inside() -> None:
        cache = _cache(redis.url)
        traffic = Traffic(cache)

        async def faults() -> None:
            redis.pause()
            began = time.monotonic()
            await _until(cache, True)
            assert time.monotonic() - began < 2 * _TIMEOUT + 1
            waited = await traffic.slowest_from_now()
            assert waited < _TIMEOUT, "somebody waited for a Redis that is known not to answer"
            redis.go_on()
            await _until(cache, False)

        await traffic.during(faults)
        assert await cache.get("k0") is not None
        await cache.close()

    asyncio.run(inside())
    assert _said(told, "FALLBACK ACTIVATED") == 1


def test_who_waits_for_a_turn_when_redis_is_paused_waits_for_one_time_out_only(redis: Redis) -> None:
    async def inside() -> None:
        cache = _cache(redis.url)
        await cache.set("a", b"1", 60)
        redis.pause()
        began = time.monotonic()
        await asyncio.gather(*(cache.get(f"k{number}") for number in range(1000)))
        await asyncio.gather(*(cache.update("a", lambda value: (value, None), 60) for _ in range(1000)))
        assert time.monotonic() - began < 3 * _TIMEOUT, "a thousand, thirty-two at a time, and one time-out"
        await cache.close()

    asyncio.run(inside())


def test_a_slow_redis_is_left_alone_until_it_is_quick(redis: Redis) -> None:
    async def inside() -> None:
        async with slow_proxy(redis.port) as proxy:
            cache = _cache(f"redis://127.0.0.1:{proxy.own_port}/0")
            traffic = Traffic(cache)

            async def faults() -> None:
                proxy.delay = 4 * _TIMEOUT
                await _until(cache, True)
                assert await traffic.slowest_from_now() < _TIMEOUT
                proxy.delay = 0.0
                await _until(cache, False)

            await traffic.during(faults)
            await cache.close()

    asyncio.run(inside())


def test_what_changed_without_redis_is_not_what_redis_says_afterwards(redis: Redis) -> None:
    async def inside() -> None:
        cache = _cache(redis.url)
        other = RedisCache(redis.url, 5.0)
        for key in ("set", "deleted", "updated", "untouched"):
            await cache.set(key, b"before", 60)
        redis.pause()
        await cache.set("set", b"meanwhile", 60)
        await cache.delete("deleted")
        await cache.update("updated", lambda _: (b"meanwhile", None), 60)
        assert (await cache.get("set"), await cache.get("updated")) == (b"meanwhile", b"meanwhile")
        redis.go_on()
        await _until(cache, False)
        for key in ("set", "deleted", "updated"):
            assert await cache.get(key) in {None, b"meanwhile"}, key
            assert await other.get(key) in {None, b"meanwhile"}, key
        assert await cache.get("untouched") == b"before"
        await cache.close()
        await other.close()

    asyncio.run(inside())


def test_a_redis_that_takes_no_more_values_is_one_that_fails(redis: Redis) -> None:
    async def inside() -> None:
        cache = _cache(redis.url)
        server = RedisCache(redis.url, 5.0)._redis  # pyright: ignore[reportPrivateUsage]
        await server.config_set("maxmemory", 1)
        await cache.set("a", b"1", 60)
        assert cache.fallback_active
        assert await cache.get("a") == b"1"
        await server.config_set("maxmemory", 0)
        await _until(cache, False)
        await cache.set("a", b"2", 60)
        assert await server.get("groundwork:a") == b"2"
        await server.aclose(close_connection_pool=True)
        await cache.close()

    asyncio.run(inside())


def test_a_redis_that_was_never_there_is_used_once_it_comes(redis: Redis) -> None:
    async def inside() -> None:
        redis.kill()
        cache = _cache(redis.url)
        await cache.set("a", b"1", 60)
        assert cache.fallback_active
        assert not cache.shared
        assert await cache.get("a") == b"1"
        await asyncio.to_thread(redis.start)
        await _until(cache, False)
        assert cache.shared
        assert await cache.get("a") is None, "what memory held is dropped"
        await cache.close()

    asyncio.run(inside())
