"""A tiny question to one model, to see whether it answers, how fast, and what that costs. It is paid for like any other."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from groundwork.answer.generate import Generator, NoModel, Spent, Task
from groundwork.budgets.meter import Budgets
from groundwork.errors import OverBudget
from groundwork.llms import LanguageModel, Message, ModelFailed, Prompt

_PROMPT = Prompt("Answer with one word.", (Message("user", "Is water wet? Answer yes or no."),), 64)
"""Room enough for a model that thinks a little before it answers."""


@dataclass(frozen=True)
class _Only:
    """A list of models with one in it."""

    model: LanguageModel

    def candidates(self, private: bool) -> Sequence[LanguageModel]:
        return [self.model]


async def trial(model: LanguageModel, budgets: Budgets, account: str) -> dict[str, Any]:
    """How one request went: outcome, what was wrong, milliseconds, tokens, US dollars."""
    spent = Spent()
    task = Task(lambda _model, _count: _PROMPT, account, "test")
    began, first, problem = time.perf_counter(), None, None
    try:
        async with aclosing(Generator(_Only(model), budgets).stream(task, spent)) as pieces:
            async for _ in pieces:
                first = first or time.perf_counter()
    except (OverBudget, ModelFailed) as error:
        problem = error.message
    except NoModel as reason:
        problem = str(reason).removeprefix(f"{model.provider}: ")
    return {
        "provider": model.provider,
        "model": model.name,
        "outcome": spent.attempts[-1].outcome,
        "problem": problem,
        "first_token_ms": None if first is None else round((first - began) * 1000),
        "total_ms": round((time.perf_counter() - began) * 1000),
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost_usd": spent.usage()["cost_usd"],
    }
