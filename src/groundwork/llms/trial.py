"""A tiny question to a model, to see whether it answers, how fast, and what that costs."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from groundwork.llms import LanguageModel, Message, ModelFailed, Outcome, Prompt, Usage

_PROMPT = Prompt("Answer with one word.", (Message("user", "Is water wet? Answer yes or no."),), 64)
"""Room enough for a model that thinks a little before it answers."""


async def trial(model: LanguageModel) -> dict[str, Any]:
    """How one request went: outcome, what was wrong, milliseconds, tokens, US dollars."""
    usage = Usage()
    began, first = time.perf_counter(), None
    outcome: Outcome = "answered"
    problem = None
    try:
        async with aclosing(cast(AsyncGenerator[str], model.stream(_PROMPT, usage))) as pieces:
            async for _ in pieces:
                first = first or time.perf_counter()
    except ModelFailed as error:
        outcome, problem = error.outcome, error.message
    return {
        "provider": model.provider,
        "model": model.name,
        "outcome": outcome,
        "problem": problem,
        "first_token_ms": None if first is None else round((first - began) * 1000),
        "total_ms": round((time.perf_counter() - began) * 1000),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": format(model.price.of(usage).normalize(), "f"),
    }
