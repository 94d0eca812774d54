"""While something shared does not answer: who is told, and how it is found to be back."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from groundwork.errors import GroundworkError

log = structlog.get_logger()

_LAST_LOOK_SECONDS = 2.0


class Outage:
    """Whether Redis is to be left alone for now.

    `begin` starts one background task that looks every `seconds` whether it is `back`, so that no request ever waits
    to find that out. `told` hears of both ends.
    """

    def __init__(
        self,
        what: str,
        back: Callable[[], Awaitable[None]],
        seconds: float,
        told: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._what = what
        self._back = back
        self._seconds = seconds
        self._told = told
        self._looking: asyncio.Task[None] | None = None
        self.active = False
        self._closed = False
        told(False)

    def begin(self, error: Exception) -> None:
        """Redis failed. Does nothing when that is known already."""
        if self.active:
            return
        self.active = True
        self._told(True)
        reason = error.message if isinstance(error, GroundworkError) else type(error).__name__
        log.warning(f"FALLBACK ACTIVATED: {self._what} in memory", reason=reason)
        if not self._closed:
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Looks no more."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking}, timeout=_LAST_LOOK_SECONDS)

    async def _look(self) -> None:
        while not self._closed:  # a library that swallows a cancellation must not keep this going
            await asyncio.sleep(self._seconds)
            try:
                await self._back()
            except Exception as error:  # whatever it raises, it is not back
                log.debug("Redis is not back yet", reason=type(error).__name__)
                continue
            self.active = False
            self._told(False)
            log.warning(f"Redis answers again: {self._what} there")
            return
