"""Requests counted over a minute that slides, in Redis for all processes or in memory for one.

The counting is that of the `limits` library. A Redis that fails costs whoever is asking one time-out, and then nothing.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from groundwork.caches.outage import Outage

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage, Storage
    from limits.aio.strategies import MovingWindowRateLimiter

_CLOSE_SECONDS = 2.0
_REDIS_SECONDS = 0.5
_REDIS_AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class Allowance:
    """What is left of a limit."""

    limit: int
    remaining: int
    reset_seconds: int
    """Until the window has passed."""
    admitted: bool

    def headers(self) -> dict[str, str]:
        """As every answer shows it."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_seconds),
        }


class SlidingMinute:
    """Counts by name."""

    def __init__(self, redis_url: SecretStr | None, what: str = "limits are counted") -> None:
        self._redis_url = redis_url
        self._outage = Outage(what, self._back, _REDIS_AGAIN_SECONDS)

    async def hit(self, most: int, *names: str) -> Allowance:
        """Counts a request against `most` a minute; one that is refused does not count."""
        if self._redis_url is not None and not self._outage.active:
            try:
                shared = self._in_redis
                async with asyncio.timeout(_REDIS_SECONDS):
                    return await _hit(shared, most, names)
            except Exception as error:  # whatever it raises: limits must not take the service down
                self._outage.begin(error)
        return await _hit(self._in_memory, most, names)

    async def close(self) -> None:
        """Lets go of Redis."""
        await self._outage.close()
        if "_storage" in self.__dict__:
            bridge = cast(Any, self._storage).bridge  # the library has no way to close what it opened
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await bridge.storage.aclose(close_connection_pool=True)

    @cached_property
    def _in_memory(self) -> "MovingWindowRateLimiter":
        from limits.aio.storage import MemoryStorage  # start-up time

        return _strategy(MemoryStorage())

    @cached_property
    def _in_redis(self) -> "MovingWindowRateLimiter":
        return _strategy(self._storage)

    @cached_property
    def _storage(self) -> "RedisStorage":
        from limits.aio.storage import RedisStorage  # start-up time

        assert self._redis_url is not None
        return RedisStorage(f"async+{self._redis_url.get_secret_value()}", implementation="redispy")

    async def _back(self) -> None:
        async with asyncio.timeout(_REDIS_SECONDS):
            if not await self._storage.check():
                raise ConnectionError


def _strategy(storage: "Storage") -> "MovingWindowRateLimiter":
    from limits.aio.strategies import MovingWindowRateLimiter  # start-up time

    return MovingWindowRateLimiter(storage)


async def _hit(strategy: "MovingWindowRateLimiter", most: int, names: tuple[str, ...]) -> Allowance:
    from limits import RateLimitItemPerMinute  # start-up time

    item = RateLimitItemPerMinute(most)
    admitted = await strategy.hit(item, *names)
    seen = await strategy.get_window_stats(item, *names)
    return Allowance(most, max(seen.remaining, 0), max(1, round(seen.reset_time - time.time())), admitted)
