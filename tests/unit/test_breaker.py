"""A breaker and the guard around a model: who is let in, and that every end is told once."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from groundwork.caches import Change
from groundwork.caches.memory import MemoryCache
from groundwork.caches.windows import SlidingMinute
from groundwork.errors import Unavailable
from groundwork.llms import Message, ModelFailed, Outcome, Prompt, ScriptedModel, Usage
from groundwork.llms.allowance import ProviderAllowance
from groundwork.llms.breaker import Breaker, Ticket, rules
from groundwork.llms.guard import Guarded
from groundwork.settings import LlmSettings
from groundwork.telemetry import metrics

T = TypeVar("T")

PROMPT = Prompt("", (Message("user", "what is it"),), 100)


class CountingCache(MemoryCache):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self.asked: Counter[str] = Counter()

    async def get(self, key: str) -> bytes | None:
        self.asked["get"] += 1
        return await super().get(key)

    async def update(self, key: str, change: Change[T], seconds: float) -> T:
        self.asked["update"] += 1
        return await super().update(key, change, seconds)


@dataclass
class Bench:
    """A breaker with a clock that is told what to show."""

    probes: int = 1
    now: float = 1_000_000.0
    cache: CountingCache = field(default_factory=CountingCache)

    def __post_init__(self) -> None:
        settings = LlmSettings(breaker_probes=self.probes)
        self.breaker = Breaker("bench", self.cache, rules(settings), clock=lambda: self.now)

    async def open(self) -> None:
        for _ in range(5):
            await self.breaker.fail(await self.breaker.admit())
        assert await self.breaker.state() == "open"

    async def half_open(self) -> None:
        await self.open()
        self.now += 30
        assert await self.breaker.state() == "half_open"

    async def refused(self) -> bool:
        try:
            ticket = await self.breaker.admit()
        except ModelFailed:
            return True
        await self.breaker.drop(ticket)
        return False


def _run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_while_all_is_well_nothing_is_written() -> None:
    async def inside() -> None:
        bench = Bench()
        ticket = await bench.breaker.admit()
        assert bench.cache.asked == {"get": 1}
        await bench.breaker.succeed(ticket)
        assert bench.cache.asked == {"get": 2}
        assert bench.cache.size == 0

    _run(inside)


def test_states_follow_a_series_of_faults() -> None:
    async def inside() -> None:
        bench = Bench()
        breaker = bench.breaker
        await bench.open()
        with pytest.raises(ModelFailed) as refused:
            await breaker.admit()
        assert (refused.value.outcome, refused.value.retry_after) == ("circuit_open", 30.0)
        assert "left alone" in refused.value.message
        bench.now += 30
        await breaker.succeed(await breaker.admit())
        await breaker.fail(await breaker.admit())
        assert await breaker.state() == "open"
        bench.now += 30
        for _ in range(3):
            assert await breaker.state() == "half_open"
            await breaker.succeed(await breaker.admit())
        assert await breaker.state() == "closed"
        said = metrics.text().decode()
        for change in ('from="closed",provider="bench",to="open"', 'from="open",provider="bench",to="half_open"'):
            assert f"rag_circuit_breaker_transitions_total{{{change}}}" in said
        assert 'rag_circuit_breaker_state{provider="bench"} 0.0' in said

    _run(inside)


@pytest.mark.parametrize("probes", [1, 3])
def test_many_at_once_get_no_more_than_the_probes(probes: int) -> None:
    async def inside() -> None:
        bench = Bench(probes)
        await bench.half_open()
        entered = await asyncio.gather(*(bench.breaker.admit() for _ in range(50)), return_exceptions=True)
        let_in = [each for each in entered if isinstance(each, Ticket)]
        assert len(let_in) == probes
        for ticket in let_in:
            await bench.breaker.drop(ticket)

    _run(inside)


def test_an_end_told_twice_counts_once() -> None:
    async def inside() -> None:
        bench = Bench()
        await bench.half_open()
        ticket = await bench.breaker.admit()
        for _ in range(3):
            await bench.breaker.succeed(ticket)
        await bench.breaker.fail(ticket)
        look = await bench.breaker.look()
        assert (look.state, look.own.successes) == ("half_open", 1)

    _run(inside)


def test_who_is_cancelled_while_it_tells_has_told() -> None:
    async def inside() -> None:
        bench = Bench()
        await bench.half_open()
        ticket = await bench.breaker.admit()
        telling = asyncio.create_task(bench.breaker.fail(ticket))
        await asyncio.sleep(0)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await _until(lambda: bench.breaker.state(), "open")

    _run(inside)


async def _until(ask: Callable[[], Coroutine[Any, Any, T]], wanted: T) -> None:
    async with asyncio.timeout(20):
        while await ask() != wanted:
            await asyncio.sleep(0.01)


class DeadCache(MemoryCache):
    """Answers nothing."""

    async def get(self, key: str) -> bytes | None:
        raise Unavailable("dead")

    async def update(self, key: str, change: Change[T], seconds: float) -> T:
        raise Unavailable("dead")


def test_a_cache_that_does_not_answer_stops_nobody() -> None:
    async def inside() -> None:
        breaker = Breaker("bench", DeadCache(1 << 20), rules(LlmSettings()))
        for _ in range(10):
            await breaker.fail(await breaker.admit())
        assert await breaker.state() == "closed"

    _run(inside)


def _guarded(bench: Bench, model: ScriptedModel, per_minute: int = 0) -> Guarded:
    model.provider = "bench"
    return Guarded(model, bench.breaker, ProviderAllowance("bench", per_minute, SlidingMinute(None)))


async def _read(model: Guarded) -> str:
    try:
        return "".join([piece async for piece in model.stream(PROMPT, Usage())])
    except ModelFailed as error:
        return error.outcome


def _counted(outcome: str) -> float:
    return metrics.REGISTRY.get_sample_value("rag_llm_requests_total", {"provider": "bench", "outcome": outcome}) or 0.0


@pytest.mark.parametrize("outcome", ["error", "timeout", "rate_limited", "nonsense", "cut"])
def test_every_fault_of_a_provider_counts(outcome: Outcome) -> None:
    async def inside() -> None:
        bench = Bench()
        failing = ScriptedModel(["a"], failure=ModelFailed(outcome, "it failed"))
        before = _counted(outcome), _counted("circuit_open")
        model = _guarded(bench, failing)
        assert [await _read(model) for _ in range(6)] == [outcome] * 5 + ["circuit_open"]
        assert len(failing.seen) == 5, "one call, one request"
        assert (_counted(outcome), _counted("circuit_open")) == (before[0] + 5, before[1] + 1)

    _run(inside)


def test_an_unforeseen_fault_of_an_adapter_counts_and_is_told_as_one() -> None:
    class Broken(ScriptedModel):
        async def stream(self, prompt: Prompt, usage: Usage) -> AsyncGenerator[str]:
            yield "a"
            raise KeyError("choices")

    async def inside() -> None:
        bench = Bench()
        assert [await _read(_guarded(bench, Broken())) for _ in range(6)] == ["error"] * 5 + ["circuit_open"]

    _run(inside)


def test_a_whole_reply_is_a_success_with_its_tokens_and_cost() -> None:
    async def inside() -> None:
        bench = Bench()
        await bench.half_open()
        labels = {"provider": "bench", "direction": "output"}
        before = metrics.REGISTRY.get_sample_value("rag_llm_tokens_total", labels) or 0
        assert await _read(_guarded(bench, ScriptedModel(["a", "b"]))) == "ab"
        assert (await bench.breaker.look()).own.successes == 1
        assert metrics.REGISTRY.get_sample_value("rag_llm_tokens_total", labels) == before + 2

    _run(inside)


async def _closed_by_the_reader(model: Guarded) -> None:
    async with aclosing(model.stream(PROMPT, Usage())) as pieces:
        async for _ in pieces:
            break


async def _abandoned(model: Guarded) -> None:
    async for _ in model.stream(PROMPT, Usage()):
        break


async def _cancelled(model: Guarded) -> None:
    async def read() -> None:
        async for _ in model.stream(PROMPT, Usage()):
            await asyncio.Event().wait()

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.parametrize("leave", [_closed_by_the_reader, _abandoned, _cancelled])
def test_a_reader_who_leaves_counts_neither_way_and_frees_the_probe(
    leave: Callable[[Guarded], Coroutine[Any, Any, None]],
) -> None:
    async def inside() -> None:
        bench = Bench()
        await bench.half_open()
        await leave(_guarded(bench, ScriptedModel(["a", "b"])))
        await _until(bench.refused, False)
        look = await bench.breaker.look()
        assert (look.state, look.own.successes, look.own.probes) == ("half_open", 0, {})

    _run(inside)


def test_a_request_the_limit_refuses_leaves_no_trace_in_the_breaker() -> None:
    async def inside() -> None:
        bench = Bench()
        model = _guarded(bench, ScriptedModel(["a"]), per_minute=1)
        assert [await _read(model), await _read(model)] == ["a", "limit"]
        await bench.half_open()
        assert await _read(model) == "limit"
        assert not await bench.refused(), "the probe is free"
        assert (await bench.breaker.look()).own.successes == 0
        assert metrics.REGISTRY.get_sample_value("rag_rate_limit_remaining", {"provider": "bench"}) == 0

    _run(inside)


def test_an_open_circuit_takes_nothing_of_the_allowance() -> None:
    async def inside() -> None:
        bench = Bench()
        await bench.open()
        model = _guarded(bench, ScriptedModel(["a"]), per_minute=2)
        assert [await _read(model) for _ in range(5)] == ["circuit_open"] * 5
        bench.now += 30
        assert [await _read(model) for _ in range(3)] == ["a", "a", "limit"]

    _run(inside)


def test_the_refusal_of_the_limit_says_when_to_come_back() -> None:
    async def inside() -> None:
        allowance = ProviderAllowance("bench", 1, SlidingMinute(None))
        await allowance.take()
        with pytest.raises(ModelFailed, match="no more than 1") as refused:
            await allowance.take()
        assert refused.value.outcome == "limit"
        assert 0 < (refused.value.retry_after or 0) <= 60

    _run(inside)
