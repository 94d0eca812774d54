"""Rate limits per caller and kind of request, counted in Redis for all processes, or in memory for one."""

import asyncio
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import structlog

from groundwork.settings import LimitSettings

if TYPE_CHECKING:
    from limits.aio.storage import Storage
    from limits.aio.strategies import MovingWindowRateLimiter

log = structlog.get_logger()

_REDIS_SECONDS = 0.5
_REDIS_AGAIN_SECONDS = 5.0


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


class Limiter:
    """Counts requests over a minute that slides."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._redis_down_until = 0.0

    async def hit(self, kind: str, caller: str) -> Allowance | None:
        """Counts a request; None where there is no limit. A Redis that fails costs nobody anything."""
        most = getattr(self._settings, f"{kind}_per_minute", 0)
        if not most:
            return None
        if self._settings.redis_url is not None and time.monotonic() >= self._redis_down_until:
            try:
                shared = self._in_redis
                async with asyncio.timeout(_REDIS_SECONDS):
                    return await _hit(shared, most, kind, caller)
            except Exception as error:  # whatever it raises: limits must not take the service down
                self._redis_down_until = time.monotonic() + _REDIS_AGAIN_SECONDS
                log.warning("FALLBACK ACTIVATED: limits are counted in memory", reason=type(error).__name__)
        return await _hit(self._in_memory, most, kind, caller)

    @cached_property
    def _in_memory(self) -> "MovingWindowRateLimiter":
        from limits.aio.storage import MemoryStorage  # start-up time

        return _strategy(MemoryStorage())

    @cached_property
    def _in_redis(self) -> "MovingWindowRateLimiter":
        from limits.aio.storage import RedisStorage  # start-up time

        assert self._settings.redis_url is not None
        url = self._settings.redis_url.get_secret_value()
        return _strategy(RedisStorage(f"async+{url}", implementation="redispy"))

    async def close(self) -> None:
        """Lets go of Redis."""
        if "_in_redis" in self.__dict__:
            bridge = cast(Any, self._in_redis.storage).bridge  # the library has no way to close what it opened
            await bridge.storage.aclose(close_connection_pool=True)


def _strategy(storage: "Storage") -> "MovingWindowRateLimiter":
    from limits.aio.strategies import MovingWindowRateLimiter  # start-up time

    return MovingWindowRateLimiter(storage)


async def _hit(strategy: "MovingWindowRateLimiter", most: int, kind: str, caller: str) -> Allowance:
    from limits import RateLimitItemPerMinute  # start-up time

    item = RateLimitItemPerMinute(most)
    admitted = await strategy.hit(item, kind, caller)
    seen = await strategy.get_window_stats(item, kind, caller)
    return Allowance(most, max(seen.remaining, 0), max(1, round(seen.reset_time - time.time())), admitted)
