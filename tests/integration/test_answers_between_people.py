"""What one person's question may do to another's: nothing, however they share, fail, pay or leave."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from groundwork.access.scope import OPERATOR, Caller
from groundwork.answer.dialogue import Dialogue
from groundwork.answer.prompt import Exchange
from groundwork.assembly import Platform, Request
from groundwork.budgets.meter import Charge
from groundwork.errors import OverBudget, StoreUnavailable
from groundwork.llms import Price, Prompt, ScriptedModel, Usage
from groundwork.retrieve.rerank import Reranking
from groundwork.settings import CacheSettings, RerankerSettings, Settings
from plugins.installation import Run, ingest, on_platform, write
from plugins.redis_server import REDIS, redis_server
from plugins.scripted_models import Scripted

QUESTION = "When was the tunnel opened?"
TUNNEL = {"tunnel.md": "# The tunnel\n\nThe tunnel was opened in 1932 by the mayor. It is 57 metres long."}
ADA = Caller(user="ada", roles=frozenset({"member"}))
BEN = Caller(user="ben", roles=frozenset({"member"}))


async def _with(platform: Platform, path: Path, *models: ScriptedModel) -> None:
    platform.models = cast(Any, Scripted(list(models)))
    await ingest(platform, write(path / "notes", TUNNEL))


async def _told(platform: Platform, caller: Caller) -> list[Any]:
    return [each async for each in await platform.stream(Request(QUESTION, caller=caller), Dialogue(caller))]


async def _ask(platform: Platform, caller: Caller = OPERATOR, text: str = QUESTION, **said: Any) -> dict[str, Any]:
    return await platform.ask(Request(text, caller=caller), Dialogue(caller, **said))


@pytest.mark.parametrize("over", ["refuse", "extract"])
def test_who_shares_a_flight_with_somebody_who_cannot_pay_is_answered(
    settings: Settings, tmp_path: Path, over: str
) -> None:
    async def work(platform: Platform) -> None:
        dear = ScriptedModel(["In 1932 [1]."], price=Price(per_request=Decimal("0.02")), tier=1)
        await _with(platform, tmp_path, dear)
        for name in ("ada", "ben"):
            await platform.access.people.add(name, "member", None, OPERATOR)
        await platform.budgets.limits.set("ada", "daily", Decimal("0.01"), OPERATOR)
        reserving = asyncio.Event()
        going = asyncio.Event()
        reserve = platform.budgets.reserve

        async def slowly(charge: Charge) -> Any:
            if charge.account == "ada":
                reserving.set()
                await going.wait()
            return await reserve(charge)

        platform.budgets.reserve = slowly
        first = asyncio.create_task(_told(platform, ADA))
        await reserving.wait()
        second = asyncio.create_task(_told(platform, BEN))
        while not any(each.listeners == 2 for each in platform.asker.memory._flights.values()):
            await asyncio.sleep(0.01)
        going.set()
        refused, answered = await first, await second
        if over == "refuse":
            assert refused[-1].data["kind"] == "over_budget"
        else:
            assert refused[-1].data["mode"] == "extracted"
            assert "budget of ada" in refused[-1].data["reason"]
        assert "budget of ada" not in str(answered)
        assert answered[-1].data["mode"] == "generated"
        assert [each.name for each in answered].count("passages") == 1
        assert answered[-1].data["usage"]["cost_usd"] == "0.02"

    budgets = settings.budgets.model_copy(update={"over_budget": over})
    on_platform(settings.model_copy(update={"budgets": budgets}), work)


@pytest.mark.skipif(REDIS is None, reason="no redis-server")
def test_an_answer_is_remembered_in_redis_although_its_reader_has_gone(settings: Settings, tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await _with(platform, tmp_path, ScriptedModel(["In 1932 [1]."]))
        for number in range(5):
            assert (await _ask(platform, text=f"{QUESTION} {number}"))["cached"] is False
            assert (await _ask(platform, text=f"{QUESTION} {number}"))["cached"] is True

    with redis_server(tmp_path) as redis:
        cache = CacheSettings(redis_url=SecretStr(redis.url), timeout_seconds=5)
        on_platform(settings.model_copy(update={"cache": cache}), work)


def test_a_conversation_the_caller_keeps_about_a_private_collection_stays_private(
    run: Run[object], tmp_path: Path
) -> None:
    async def inside(platform: Platform) -> None:
        cloud, local = ScriptedModel(["Cloud [1]."], tier=1), ScriptedModel(["Local [1]."], provider="local")
        await _with(platform, tmp_path, cloud, local)
        await platform.create_collection("secrets", private=True)
        said = (Exchange("What is the code?", "It is 4711."),)
        await _ask(platform, text="And who has it?", history=said)
        assert not cloud.seen
        await platform.set_private("secrets", False, OPERATOR)
        await _ask(platform, text="And who has it?", history=said)
        assert len(cloud.seen) == 2

    run(inside)


def test_what_was_said_is_kept_when_the_database_goes_away_in_the_middle(
    run: Run[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> None:
        raise StoreUnavailable("The database does not answer.")

    async def inside(platform: Platform) -> None:
        await _with(platform, tmp_path, ScriptedModel(["In 1932", " [1]."]))
        monkeypatch.setattr("groundwork.answer.write.check", gone)
        told = await _told(platform, OPERATOR)
        assert told[-1].name == "error"
        assert told[-1].data["answer"] == "In 1932 "

    run(inside)


@pytest.mark.parametrize("counted", [-5, 10**30])
def test_a_provider_that_counts_nonsense_breaks_nothing(run: Run[object], tmp_path: Path, counted: int) -> None:
    @dataclass
    class Liar(ScriptedModel):
        async def stream(self, prompt: Prompt, usage: Usage) -> AsyncIterator[str]:
            yield "In 1932 [1]."
            usage.input_tokens, usage.output_tokens, usage.reported = counted, counted, True

    async def inside(platform: Platform) -> None:
        await _with(platform, tmp_path, Liar(price=Price(Decimal(3), Decimal(15)), tier=1))
        assert (await _ask(platform))["mode"] == "generated"
        rows = await platform.database.fetch("SELECT count(*) FROM budget_reservations")
        assert rows == [(0,)]

    run(inside)


@dataclass
class Elsewhere:
    """A reranker on another machine."""

    asked: list[str] = field(default_factory=list[str])
    name: str = "elsewhere"
    private: bool = False

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        self.asked.append(question)
        return [0.5 for _ in texts]

    async def warm(self) -> None:
        pass

    async def close(self) -> None:
        pass


def test_a_private_question_is_not_shown_to_a_reranker_elsewhere(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        await _with(platform, tmp_path, ScriptedModel(["In 1932 [1]."]))
        elsewhere = Elsewhere()
        platform.searcher._reranking = Reranking(elsewhere, RerankerSettings())
        await _ask(platform, private=True)
        assert not elsewhere.asked
        await _ask(platform)
        assert elsewhere.asked == [QUESTION]

    run(inside)


def test_many_who_cannot_pay_are_each_told_their_own_budget(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        await _with(
            platform, tmp_path, ScriptedModel(["In 1932 [1]."], price=Price(per_request=Decimal("0.02")), tier=1)
        )
        names = [f"user{number}" for number in range(20)]
        for name in names:
            await platform.access.people.add(name, "member", None, OPERATOR)
            await platform.budgets.limits.set(name, "daily", Decimal("0.01"), OPERATOR)
        callers = [Caller(user=name, roles=frozenset({"member"})) for name in names]
        answers = await asyncio.gather(*(_ask(platform, caller) for caller in callers), return_exceptions=True)
        assert all(isinstance(each, OverBudget) for each in answers)
        assert [str(each).split()[4] for each in answers] == names

    run(inside)


def test_a_mark_of_a_passage_that_did_not_fit_names_nothing(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        narrow = ScriptedModel(["In 1932 [1][2]."], context_tokens=620, max_output_tokens=64)
        platform.models = cast(Any, Scripted([narrow]))
        await ingest(platform, write(tmp_path / "notes", {**TUNNEL, "other.md": f"# Opened\n\n{'When opened? ' * 60}"}))
        body = await _ask(platform)
        assert len((await platform.search(Request(QUESTION, caller=OPERATOR))).passages) == 2
        assert narrow.seen[0].messages[-1].text.count("ends") == 1
        assert body["answer"] == "In 1932 [1][?]."
        assert body["unresolved_citations"] == 1

    run(inside)


@pytest.mark.parametrize("kept", [b"", b"nonsense", b"[1, 2]", b'[{}, ["x"], {"answer": "old"}]'])
def test_what_nobody_here_remembered_is_not_told(run: Run[object], tmp_path: Path, kept: bytes) -> None:
    async def inside(platform: Platform) -> None:
        await _with(platform, tmp_path, ScriptedModel(["In 1932 [1]."]))
        get = platform.cache.get

        async def other(key: str) -> bytes | None:
            return kept if key.startswith("answer:") else await get(key)

        platform.cache.get = other
        assert (await _ask(platform))["cached"] is False

    run(inside)
