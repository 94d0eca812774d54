"""Our own limit on requests to a provider: rather passed over for the next one than refused by it."""

import asyncio

from groundwork.caches.windows import SlidingMinute
from groundwork.llms import ModelFailed
from groundwork.telemetry import metrics

_MINUTE = 60.0


class ProviderAllowance:
    """Requests a minute of one provider, counted with everybody who shares `minute`'s Redis."""

    def __init__(self, provider: str, per_minute: int, minute: SlidingMinute) -> None:
        """`per_minute` 0: no limit."""
        self._provider = provider
        self._most = per_minute
        self._minute = minute
        self._refill: asyncio.TimerHandle | None = None
        if per_minute:
            metrics.rate_limit_remaining(provider, per_minute)

    async def take(self) -> None:
        """Counts a request that is about to be sent. Raises ModelFailed (`limit`) when there are none left."""
        if not self._most:
            return
        left = await self._minute.hit(self._most, "llm", self._provider)
        self._publish(left.remaining)
        if not left.admitted:
            raise ModelFailed(
                "limit",
                f"{self._provider} gets no more than {self._most} requests a minute from here.",
                float(left.reset_seconds),
            )

    def _publish(self, remaining: int) -> None:
        """Full again a minute after the last request, although nobody asks then."""
        metrics.rate_limit_remaining(self._provider, remaining)
        if self._refill is not None:
            self._refill.cancel()
        self._refill = asyncio.get_running_loop().call_later(
            _MINUTE, metrics.rate_limit_remaining, self._provider, self._most
        )
