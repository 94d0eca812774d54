"""What all processes remember together, in a Redis or Valkey."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from groundwork.caches import Change
from groundwork.errors import Invalid, Unavailable

T = TypeVar("T")

_CLOSE_SECONDS = 2.0
_PREFIX = "groundwork:"
_CONNECTIONS = 32
_TRIES = 100
_PAUSE_SECONDS = 0.01
_LONGEST_SECONDS = 10 * 365 * 86_400.0

_COMPARE_AND_SET = """
local now = redis.call('GET', KEYS[1])
local expected = ARGV[1] == '1' and ARGV[2] or false
if now ~= expected then return {0, now} end
if ARGV[3] == '1' then redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5]) else redis.call('DEL', KEYS[1]) end
return {1}
"""
"""Whether the value was changed; if it was not what was expected, what it is."""


class RedisCache:
    """The cache port over redis-py. Whatever goes wrong, or takes longer than `timeout_seconds`, is Unavailable.

    Waiting for a free connection is no fault of Redis and has no limit of its own. When it stops answering, whoever
    waits fails together with the first whose time is up, so nobody loses more than one time-out.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._seconds = timeout_seconds
        self._turns = asyncio.Semaphore(_CONNECTIONS)
        self._failures = 0
        self._updating: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        try:
            pool = ConnectionPool.from_url(url, max_connections=_CONNECTIONS, retry=Retry(NoBackoff(), 0))
        except (ValueError, RedisError):
            raise Invalid(
                "The address of Redis is not one: write redis://HOST:PORT/0 (rediss:// with TLS) in "
                "GROUNDWORK_CACHE__REDIS_URL, with a password as redis://:PASSWORD@HOST:PORT/0."
            ) from None  # the error quotes the address, which may hold a password
        self._redis = Redis(connection_pool=pool)

    @property
    def shared(self) -> bool:
        """Always."""
        return True

    async def get(self, key: str) -> bytes | None:
        """The value, unless it was never set, has expired, or was forgotten. Raises Unavailable."""
        return await self._ask(lambda: self._redis.get(_PREFIX + key), self._failures)

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Remembers a value for so long. Raises Unavailable."""
        if seconds <= 0:
            await self.delete(key)
            return
        await self._ask(lambda: self._redis.set(_PREFIX + key, value, px=_milliseconds(seconds)), self._failures)

    async def delete(self, key: str) -> None:
        """Forgets a value. Raises Unavailable."""
        await self._ask(lambda: self._redis.delete(_PREFIX + key), self._failures)

    async def update(self, key: str, change: Change[T], seconds: float) -> T:
        """Changes a value in one step, by comparing and setting until nobody came in between. Raises Unavailable.

        Changes of one process take turns, so only those of other processes can come in between.
        """
        since = self._failures
        lock = self._updating.setdefault(key, asyncio.Lock())
        async with lock:
            known: bytes | None = await self._ask(lambda: self._redis.get(_PREFIX + key), since)
            for attempt in range(_TRIES):
                value, answer = change(known)
                done, *other = await self._compare_and_set(key, known, value if seconds > 0 else None, seconds, since)
                if done:
                    return answer
                known = other[0]
                if attempt:
                    await asyncio.sleep(random.random() * _PAUSE_SECONDS)
        raise Unavailable(f"{_TRIES} times somebody else changed a value in Redis first. Try again.")

    async def close(self) -> None:
        """Closes every connection."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._redis.aclose(close_connection_pool=True)

    async def _compare_and_set(
        self, key: str, known: bytes | None, value: bytes | None, seconds: float, since: int
    ) -> list[Any]:
        was = (1, known) if known is not None else (0, b"")
        becomes = (1, value, _milliseconds(seconds)) if value is not None else (0, b"", 0)
        return await self._ask(
            lambda: cast(Any, self._redis.eval(_COMPARE_AND_SET, 1, _PREFIX + key, *was, *becomes)), since
        )

    async def _ask(self, command: Callable[[], Awaitable[T]], since: int) -> T:
        """What Redis answers; `since`: how many failures there had been when the caller came."""
        async with self._turns:
            if self._failures != since:
                raise Unavailable("Redis stopped answering while this waited for its turn.")
            try:
                async with asyncio.timeout(self._seconds):
                    return await command()
            except Exception as error:  # connecting included, and whatever else the library raises
                self._failures += 1
                # Its own words may hold the address, and that a password.
                raise Unavailable(f"Redis does not answer as it should ({type(error).__name__}).") from None


def _milliseconds(seconds: float) -> int:
    return max(1, round(min(seconds, _LONGEST_SECONDS) * 1000))
