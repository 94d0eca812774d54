"""Models at providers: cheap to make, loaded when first asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from groundwork.llms import Price, Prompt, Usage
from groundwork.llms.keys import read_key
from groundwork.llms.prices import Found, price_of
from groundwork.settings.models import ProviderSettings

if TYPE_CHECKING:
    from groundwork.llms.wire import Wire


class Line:
    """The way to one provider, shared by its models."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self._opening = asyncio.Lock()
        self._wire: Wire | None = None

    async def wire(self) -> "Wire":
        """Its connections; what takes seconds happens in a thread, so that everybody else is served meanwhile."""
        if self._wire is None:
            async with self._opening:
                if self._wire is None:
                    self._wire = await asyncio.to_thread(self._open)
        return self._wire

    async def close(self) -> None:
        """Ends its connections."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    def _open(self) -> "Wire":
        from groundwork.llms.rehearsal import rehearse  # start-up time
        from groundwork.llms.wire import Wire  # start-up time

        rehearse(self.settings.kind)
        return Wire(self.settings, lambda: read_key(self.settings))


@dataclass(frozen=True)
class PydanticAiModel:
    """One model of a provider, over Pydantic AI."""

    line: Line
    name: str

    @property
    def provider(self) -> str:
        return self.line.settings.name

    @property
    def tier(self) -> int:
        return self.line.settings.in_tier

    @property
    def context_tokens(self) -> int:
        return self.line.settings.context_tokens

    @property
    def max_output_tokens(self) -> int:
        return self.line.settings.max_output_tokens

    @property
    def price(self) -> Price:
        return self._found.price

    @property
    def price_known(self) -> bool:
        """Whether `price` is what it takes, and not only more than it can."""
        return self._found.known

    @cached_property
    def _found(self) -> Found:
        return price_of(self.line.settings, self.name)

    async def stream(self, prompt: Prompt, usage: Usage) -> AsyncIterator[str]:
        """The pieces of its reply; closing this closes the connection."""
        wire = await self.line.wire()
        async with aclosing(wire.stream(self.name, prompt, usage)) as pieces:
            async for piece in pieces:
                yield piece
