"""How long a reply may take: until its first token, between two, and as a whole."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from groundwork.llms import ModelFailed
from groundwork.settings.models import ProviderSettings

T = TypeVar("T")


class Deadlines:
    """The time-outs of one request; it begins when this is made."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._begun = False
        now = asyncio.get_running_loop().time()
        self._first = now + settings.first_token_seconds
        self._whole = now + settings.total_seconds

    def begun(self) -> None:
        """The first token has come."""
        self._begun = True

    async def wait(self, coming: Awaitable[T]) -> T:
        """What is awaited, in time. Raises ModelFailed."""
        stalled = asyncio.get_running_loop().time() + self._settings.stall_seconds
        try:
            async with asyncio.timeout_at(min(stalled if self._begun else self._first, self._whole)):
                return await coming
        except TimeoutError:
            raise ModelFailed("timeout", self._told()) from None

    def _told(self) -> str:
        settings = self._settings
        if asyncio.get_running_loop().time() >= self._whole:
            return f"{settings.name} was not done after {settings.total_seconds:g} seconds (total_seconds)."
        if self._begun:
            return f"{settings.name} fell silent in the middle for {settings.stall_seconds:g} seconds (stall_seconds)."
        return f"{settings.name} said nothing for {settings.first_token_seconds:g} seconds (first_token_seconds)."
