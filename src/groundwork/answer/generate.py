"""The one door to language models: which is asked, in which order, and that every request is paid for.

A model that fails before its first word is passed over for the next; after it there is no way back. Whatever becomes of a
request, its cost is settled: an answer, a failure, and a reader who left.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, cast

from groundwork.answer.measure import Count, Measures
from groundwork.budgets.meter import Budgets, Charge, Held
from groundwork.budgets.money import plain
from groundwork.errors import OverBudget
from groundwork.llms import LanguageModel, ModelFailed, Outcome, Price, Prompt, Usage
from groundwork.llms.tokens import size
from groundwork.telemetry import metrics

_UNSENT: frozenset[Outcome] = frozenset({"circuit_open", "limit", "over_budget"})
_UNPAID: frozenset[Outcome] = frozenset({"error", "rate_limited"})
"""Refused or never reached: providers take nothing for these unless they say how much they have done."""


class Models(Protocol):
    """What there is to ask."""

    def candidates(self, private: bool) -> Sequence[LanguageModel]:
        """In the order they are to be asked; in privacy mode only those of tier 0."""
        ...


@dataclass(frozen=True)
class Task:
    """What is to be written, for whom, and where it may go."""

    prompt: Callable[[LanguageModel, Count], Prompt]
    """Made for each model that is asked, since each takes so much and no more."""
    account: str
    purpose: str
    private: bool = False


@dataclass(frozen=True)
class Attempt:
    """One model that was asked, or passed over."""

    provider: str
    model: str
    outcome: Outcome
    ms: float

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        return {"provider": self.provider, "model": self.model, "outcome": self.outcome, "ms": self.ms}


@dataclass
class Spent:
    """What asking models took, over all attempts for one answer."""

    attempts: list[Attempt] = field(default_factory=list[Attempt])
    provider: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def usage(self) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "provider": self.provider,
            "model": self.model,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": plain(self.cost_usd),
        }

    def route(self) -> list[dict[str, Any]]:
        """Every decision, in order."""
        return [each.body() for each in self.attempts]


class NoModel(Exception):
    """Nobody could be asked, or nobody answered. The message says why, for a person."""


class Generator:
    """Text from the first model that gives it."""

    def __init__(self, models: Models, budgets: Budgets) -> None:
        self._models = models
        self._budgets = budgets
        self._measures = Measures()

    def can(self, private: bool) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._models.candidates(private))

    def names(self, private: bool) -> list[str]:
        """Whom there is to ask, as `provider/model`, in order."""
        return [f"{each.provider}/{each.name}" for each in self._models.candidates(private)]

    async def stream(self, task: Task, spent: Spent) -> AsyncGenerator[str]:
        """The pieces of a text as they come; `spent` is right whenever the iteration stops.

        Raises NoModel when nobody could give a first word, OverBudget when all that was left could not be paid,
        ModelFailed when a text that had begun did not end.
        """
        refusal: OverBudget | None = None
        reasons: list[str] = []
        for model in self._models.candidates(task.private):
            try:
                async with aclosing(self._ask(model, task, spent)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except OverBudget as error:
                refusal = error
            except _NotBegun as error:
                reasons.append(blame(model.provider, str(error)))
        if refusal is not None:
            raise refusal
        raise NoModel("; ".join(reasons) if reasons else _nobody(task.private))

    async def _ask(self, model: LanguageModel, task: Task, spent: Spent) -> AsyncGenerator[str]:
        """One request to one model: reserved before, settled after, noted in the route."""
        began = time.perf_counter()
        prompt, usage = task.prompt(model, self._measures.of(model)), Usage()
        try:
            held = await self._budgets.reserve(_charge(model, task, prompt))
        except OverBudget:
            spent.attempts.append(Attempt(model.provider, model.name, "over_budget", _ms(began)))
            metrics.llm_request(model.provider, "over_budget")
            raise
        outcome: Outcome = "cancelled"
        begun = False
        try:
            async with aclosing(cast("AsyncGenerator[str]", model.stream(prompt, usage))) as pieces:
                async for piece in pieces:
                    begun = True
                    yield piece
            outcome = "answered"
            self._measures.learn(model, prompt, usage)
        except ModelFailed as failed:
            outcome = failed.outcome
            if not begun:
                raise _NotBegun(failed.message) from failed
            raise
        finally:
            await self._settle(model, held, usage, outcome, spent)
            spent.attempts.append(Attempt(model.provider, model.name, outcome, _ms(began)))

    async def _settle(self, model: LanguageModel, held: Held, usage: Usage, outcome: Outcome, spent: Spent) -> None:
        cost = _cost(model.price, usage, outcome)
        spent.provider, spent.model = model.provider, model.name
        spent.input_tokens += usage.input_tokens
        spent.output_tokens += usage.output_tokens
        spent.cost_usd += cost
        await self._budgets.settle(
            held,
            outcome=outcome,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=cost,
            estimated=not usage.reported,
        )


class _NotBegun(Exception):
    """A model said nothing at all; another may be asked."""


def _charge(model: LanguageModel, task: Task, prompt: Prompt) -> Charge:
    """The most a request can cost, since nobody knows before what it will."""
    tokens = _at_most(prompt)
    return Charge(
        account=task.account,
        provider=model.provider,
        model=model.name,
        purpose=task.purpose,
        amount_usd=model.price.at_most(tokens, prompt.max_output_tokens),
        input_tokens=tokens,
        seconds=_LONGEST_SECONDS,
    )


_TOKENS_PER_MESSAGE = 16


def _at_most(prompt: Prompt) -> int:
    """No tokenizer makes more tokens than bytes, and what a protocol adds to a message is a handful."""
    texts = [prompt.system, *(each.text for each in prompt.messages)]
    return sum(size(text) + _TOKENS_PER_MESSAGE for text in texts)


_LONGEST_SECONDS = 900.0
"""After which a request that was never settled counts as lost with its process."""


def _cost(price: Price, usage: Usage, outcome: Outcome) -> Decimal:
    if outcome in _UNSENT or (outcome in _UNPAID and not usage.reported and not usage.output_tokens):
        return Decimal(0)
    return price.of(usage)


def blame(provider: str | None, message: str) -> str:
    """What went wrong, with the provider's name, to be part of a sentence."""
    said = message.rstrip(".")
    return said if provider and provider in said else f"{provider}: {said}"


def _nobody(private: bool) -> str:
    if private:
        return "privacy mode: no private model (tier 0) is set or runs"
    return "no language model is set"


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
