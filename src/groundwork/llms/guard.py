"""A language model held to its breaker and its requests a minute, with metrics of every request."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import structlog

from groundwork.caches.windows import SlidingMinute
from groundwork.llms import LanguageModel, ModelFailed, Outcome, Price, Prompt, Usage
from groundwork.llms.allowance import ProviderAllowance
from groundwork.llms.breaker import Breaker, Ticket
from groundwork.llms.breakers import Breakers
from groundwork.telemetry import metrics

log = structlog.get_logger()

_FAULTS: frozenset[Outcome] = frozenset({"error", "timeout", "rate_limited", "nonsense", "cut"})
"""Endings that the provider is to blame for."""


class Guarded:
    """A language model that is not asked while its circuit is open or its requests a minute are spent.

    Adapters never send a request twice, so one call here is at most one request at the transport, and the breaker
    counts what the transport saw. It is asked first: a request it refuses takes nothing of the allowance. One that
    the allowance refuses counts neither way. Every request that was let in is told to the breaker exactly once,
    however it ends.
    """

    def __init__(self, model: LanguageModel, breaker: Breaker, allowance: ProviderAllowance) -> None:
        self._model = model
        self._breaker = breaker
        self._allowance = allowance

    @property
    def provider(self) -> str:
        """Name of the provider."""
        return self._model.provider

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    @property
    def tier(self) -> int:
        """0 is private."""
        return self._model.tier

    @property
    def context_tokens(self) -> int:
        """Tokens it takes, prompt and reply together."""
        return self._model.context_tokens

    @property
    def max_output_tokens(self) -> int:
        """Longest reply asked of it, in tokens."""
        return self._model.max_output_tokens

    @property
    def price(self) -> Price:
        """What it takes."""
        return self._model.price

    async def stream(self, prompt: Prompt, usage: Usage) -> AsyncGenerator[str]:
        """The pieces of its reply. Raises ModelFailed, also with `circuit_open` and `limit` when nothing was sent."""
        ticket = await self._let_in()
        outcome: Outcome = "cancelled"
        began = time.monotonic()
        try:
            pieces = cast(AsyncGenerator[str], self._model.stream(prompt, usage))
            async with aclosing(pieces):
                first = True
                async for piece in pieces:
                    if first:
                        metrics.llm_first_token(self.provider, time.monotonic() - began)
                        first = False
                    yield piece
            outcome = "answered"
        except ModelFailed as error:
            outcome = error.outcome
            raise
        except Exception as error:  # a fault of an adapter must not end more than this one request
            outcome = "error"
            log.exception("a language model failed in an unforeseen way", provider=self.provider, model=self.name)
            raise ModelFailed("error", f"{self.provider} failed: {type(error).__name__}.") from error
        finally:
            await self._ended(ticket, outcome, usage, time.monotonic() - began)

    async def _let_in(self) -> Ticket:
        try:
            ticket = await self._breaker.admit()
            try:
                await self._allowance.take()
            except BaseException:
                await self._breaker.drop(ticket)
                raise
        except ModelFailed as refused:
            metrics.llm_request(self.provider, refused.outcome)
            raise
        return ticket

    async def _ended(self, ticket: Ticket, outcome: Outcome, usage: Usage, seconds: float) -> None:
        metrics.llm_request(self.provider, outcome, seconds)
        metrics.llm_usage(self.provider, usage.input_tokens, usage.output_tokens, float(self.price.of(usage)))
        if outcome == "answered":
            await self._breaker.succeed(ticket)
        elif outcome in _FAULTS:
            await self._breaker.fail(ticket)
        else:
            await self._breaker.drop(ticket)


class Guards:
    """Puts models under guard: those of one provider share its breaker and its requests a minute."""

    def __init__(self, breakers: Breakers, minute: SlidingMinute) -> None:
        self._breakers = breakers
        self._minute = minute
        self._allowances: dict[str, ProviderAllowance] = {}

    def around(self, model: LanguageModel, per_minute: int) -> Guarded:
        """The model under guard; `per_minute` 0: no limit."""
        if model.provider not in self._allowances:
            self._allowances[model.provider] = ProviderAllowance(model.provider, per_minute, self._minute)
        return Guarded(model, self._breakers.of(model.provider), self._allowances[model.provider])
