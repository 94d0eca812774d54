"""Answers that models write: cited to the byte, routed, shared, paid for, and kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from groundwork.access.scope import OPERATOR, Caller
from groundwork.answer.dialogue import Dialogue
from groundwork.answer.events import NOTHING_FOUND
from groundwork.assembly import Platform, Request, open_platform
from groundwork.errors import NotFound, OverBudget, Unavailable
from groundwork.llms import ModelFailed, Price, Prompt, ScriptedModel, Usage
from groundwork.settings import Settings
from plugins.installation import Run, ingest, write
from plugins.scripted_models import Scripted

DOCUMENTS = {
    "tunnel.md": "# The tunnel\n\nThe tunnel was opened in 1932 by the mayor. It is 57 metres long and serves trains only.",
    "garden.md": "# The garden\n\nThe garden was planted by the botanical society. Roses from Persia grow on its slope.",
}
QUESTION = "When was the tunnel opened?"


async def _with(platform: Platform, path: Path, *models: ScriptedModel) -> Scripted:
    """The platform with documents and these models."""
    scripted = Scripted(list(models))
    platform.models = scripted
    await ingest(platform, write(path / "notes", DOCUMENTS))
    return scripted


async def _ask(platform: Platform, text: str = QUESTION, **said: Any) -> dict[str, Any]:
    return await platform.ask(Request(text, caller=OPERATOR), Dialogue(OPERATOR, **said))


def _says(*pieces: str, **more: Any) -> ScriptedModel:
    return ScriptedModel(list(pieces), **more)


def _number(prompt: Prompt, words: str) -> int:
    """The number of the passage that holds these words."""
    text = prompt.messages[-1].text
    before = text[: text.index(words)]
    return int(before.rpartition("\npassage ")[2].split()[0] if "\npassage " in before else before.split()[1])


@dataclass
class Reader(ScriptedModel):
    """Writes what `reply` makes of the prompt, in pieces of three characters."""

    reply: Callable[[Prompt], str] = lambda _: ""

    async def stream(self, prompt: Prompt, usage: Usage) -> AsyncIterator[str]:
        text = self.reply(prompt)
        self.pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
        async for piece in super().stream(prompt, usage):
            yield piece


def _cites(prompt: Prompt) -> str:
    tunnel, garden = _number(prompt, "opened in 1932"), _number(prompt, "Roses from Persia")
    return f"The mayor opened the tunnel in 1932 [{tunnel}]. Roses from Persia grow there [{garden}, 40]. It is long [{tunnel}]."


def test_an_answer_cites_sentences_that_equal_the_stored_text(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        await _with(platform, tmp_path, Reader(reply=_cites))
        body = await _ask(platform)
        assert body["mode"] == "generated"
        assert body["answer"] == (
            "The mayor opened the tunnel in 1932 [1]. Roses from Persia grow there [2][?]. It is long [3]."
        )
        assert body["unresolved_citations"] == 1
        assert [each["quote"] for each in body["citations"]] == [
            "The tunnel was opened in 1932 by the mayor.",
            "Roses from Persia grow on its slope.",
            "It is 57 metres long and serves trains only.",
        ]
        for each in body["citations"]:
            span = each["answer_span"]
            assert each["verified"] is True
            assert body["answer"][span["end"] :].startswith(f" [{each['index']}]")
            stored = await platform.catalog.seen_by(OPERATOR).text(each["document_id"], each["version"])
            source = each["source_span"]
            assert stored["text"][source["start"] : source["end"]] == each["quote"]
        assert body["answer"][slice(*body["citations"][1]["answer_span"].values())] == "Roses from Persia grow there"
        assert body["usage"]["provider"] == "scripted"
        assert body["usage"]["output_tokens"] > 0
        assert [each["outcome"] for each in body["route"]] == ["answered"]
        assert body["reason"] is None

    run(inside)


def test_the_events_of_a_stream_spell_the_answer(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        await _with(platform, tmp_path, Reader(reply=_cites))
        for _ in ("written", "remembered"):
            events = [each async for each in await platform.stream(Request(QUESTION, caller=OPERATOR))]
            done = events[-1]
            assert events[0].name == "passages"
            assert done.name == "done"
            assert "".join(each.data["text"] for each in events if each.name == "delta") == done.data["answer"]
            assert [each.data for each in events if each.name == "citation"] == done.data["citations"]
        assert done.data["cached"] is True

    run(inside)


def test_what_the_documents_do_not_hold_is_said_so(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        await _with(platform, tmp_path, _says("NO_", "ANSWER", "\n"))
        body = await _ask(platform)
        assert (body["mode"], body["answer"], body["citations"]) == ("none", NOTHING_FOUND, [])
        platform.models.models[0].pieces = ["NO", "VEMBER it was."]
        assert (await _ask(platform, "Which month was it?"))["answer"] == "NOVEMBER it was."

    run(inside)


def test_who_fails_before_the_first_word_is_passed_over(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        down = _says(provider="down", failure=ModelFailed("error", "it is broken"))
        slow = _says(provider="slow", failure=ModelFailed("timeout", "nothing came in 30 s"))
        models = await _with(platform, tmp_path, down, slow, _says("1932 [1]."))
        body = await _ask(platform)
        assert [(each["provider"], each["outcome"]) for each in body["route"]] == [
            ("down", "error"),
            ("slow", "timeout"),
            ("scripted", "answered"),
        ]
        assert body["mode"] == "generated"
        models.models.pop()
        body = await _ask(platform, "When was the tunnel opened, please?")
        assert body["mode"] == "extracted"
        assert "1932" in body["answer"]
        assert body["reason"] == "down: it is broken; slow: nothing came in 30 s"

    run(inside)


def test_what_breaks_off_is_kept_and_said_so(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        broken = _says("It was ", "1932 [1]", failure=ModelFailed("cut", "the connection broke"))
        await _with(platform, tmp_path, broken, _says("never asked", provider="next"))
        events = [each async for each in await platform.stream(Request(QUESTION, caller=OPERATOR))]
        assert events[-1].name == "error"
        assert events[-1].data["answer"] == "It was 1932 [1]"
        assert len(events[-1].data["citations"]) == 1
        assert [each["outcome"] for each in events[-1].data["route"]] == ["cut"]
        assert "the connection broke" in events[-1].data["message"]
        with pytest.raises(Unavailable, match="broke off") as refused:
            await _ask(platform)
        assert refused.value.details["answer"] == "It was 1932 [1]"

    run(inside)


def test_privacy_mode_never_leaves_tier_0(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        cloud, local = _says("Cloud [1].", tier=1), _says("Local [1].", provider="local")
        await _with(platform, tmp_path, cloud, local)
        assert (await _ask(platform))["answer"] == "Cloud [1]."
        assert (await _ask(platform, private=True))["answer"] == "Local [1]."
        await platform.set_private("default", True, OPERATOR)
        assert (await _ask(platform))["answer"] == "Local [1]."
        asked = len(cloud.seen)
        platform.models.models.pop()
        body = await _ask(platform)
        assert (body["mode"], len(cloud.seen)) == ("extracted", asked)
        assert "privacy mode" in body["reason"]

    run(inside)


def test_a_private_conversation_stays_private(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        cloud, local = _says("Cloud [1].", tier=1), _says("Local [1].", provider="local")
        await _with(platform, tmp_path, cloud, local)
        await platform.set_private("default", True, OPERATOR)
        session = (await _ask(platform, session_id="new"))["session_id"]
        await platform.set_private("default", False, OPERATOR)
        before = len(cloud.seen)
        assert (await _ask(platform, "And who did?", session_id=session))["answer"] == "Cloud [1]."
        await platform.set_private("default", True, OPERATOR)
        body = await _ask(platform, "And who paid?", session_id=session)
        assert body["answer"] == "Local [1]."
        assert len(cloud.seen) == before + 2  # the follow-up in between: its rewriting and its answer

    run(inside)


def test_a_follow_up_is_rewritten_with_the_conversation(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        def reply(prompt: Prompt) -> str:
            if "Last question:" in prompt.messages[-1].text:
                return "How long is the tunnel?"
            return "57 metres [1]." if "How long is the tunnel?" in prompt.messages[-1].text else "In 1932 [1]."

        reader = Reader(reply=reply)
        await _with(platform, tmp_path, reader)
        first = await _ask(platform, session_id="new")
        second = await _ask(platform, "How long is it?", session_id=first["session_id"])
        assert second["answer"] == "57 metres [1]."
        assert second["session_id"] == first["session_id"]
        assert second["citations"][0]["quote"].startswith("It is 57 metres")
        answered = reader.seen[-1]
        assert [each.text for each in answered.messages[:-1]] == [QUESTION, "In 1932."]
        shown = await platform.sessions.show(OPERATOR, first["session_id"])
        assert [each["question"] for each in shown["turns"]] == [QUESTION, "How long is it?"]
        with pytest.raises(NotFound):
            await platform.ask(
                Request("And?", caller=OPERATOR), Dialogue(Caller(user="eve"), session_id=first["session_id"])
            )

    run(inside)


def test_identical_questions_in_flight_share_one_generation(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        gate = asyncio.Event()

        @dataclass
        class Waits(ScriptedModel):
            async def stream(self, prompt: Prompt, usage: Usage) -> AsyncIterator[str]:
                await gate.wait()
                async for piece in super().stream(prompt, usage):
                    yield piece

        waits = Waits(["1932 [1]."], price=Price(per_request=Decimal("0.01")))
        await _with(platform, tmp_path, waits)
        asking = [asyncio.create_task(_ask(platform)) for _ in range(20)]
        leaving = asking.pop()
        while not platform.asker.memory._flights:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        leaving.cancel()
        gate.set()
        bodies = await asyncio.gather(*asking)
        assert len(waits.seen) == 1
        assert {each["answer"] for each in bodies} == {"1932 [1]."}
        assert sorted(each["usage"]["cost_usd"] for each in bodies).count("0") == len(bodies) - 1
        assert (await _ask(platform, "  when was the TUNNEL opened? "))["cached"] is True
        assert len(waits.seen) == 1

    run(inside)


def test_who_leaves_last_ends_the_generation(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        ended = asyncio.Event()

        @dataclass
        class Endless(ScriptedModel):
            async def stream(self, prompt: Prompt, usage: Usage) -> AsyncIterator[str]:
                usage.output_tokens = 5
                try:
                    while True:
                        yield "word "
                        await asyncio.sleep(0.01)
                finally:
                    ended.set()

        price = Price(output_per_million=Decimal(1_000_000))
        await _with(platform, tmp_path, Endless(price=price))
        events = await platform.stream(Request(QUESTION, caller=OPERATOR))
        async for event in events:
            if event.name == "delta":
                break
        await events.aclose()
        async with asyncio.timeout(10):
            await ended.wait()
            while not (rows := await platform.database.fetch("SELECT outcome, cost_usd FROM ledger")):
                await asyncio.sleep(0.02)
        assert rows == [("cancelled", Decimal("5.000000"))]

    run(inside)


def test_an_answer_is_not_reused_when_what_it_rests_on_changed(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        model = _says("1932 [1].")
        await _with(platform, tmp_path, model)
        await _ask(platform)
        assert (await _ask(platform))["cached"] is True
        page = await platform.catalog.seen_by(OPERATOR).documents(None, None, None, 10, None)
        await platform.delete_document(page["items"][0]["id"])
        assert (await _ask(platform))["cached"] is False
        assert (await _ask(platform, private=True))["cached"] is False
        assert len(model.seen) == 3

    run(inside)


def test_over_budget_is_refused_or_answered_by_the_documents(settings: Settings, tmp_path: Path) -> None:
    async def inside(chosen: Settings) -> dict[str, Any]:
        async with open_platform(chosen) as platform:
            dear = _says("1932 [1].", price=Price(per_request=Decimal("0.02")), tier=1)
            await platform.ready()
            await _with(platform, tmp_path, dear)
            body = await _ask(platform)
            assert not dear.seen
            return body

    budget = settings.budgets.model_copy(update={"daily_usd": Decimal("0.01")})
    with pytest.raises(OverBudget, match=r"0\.01"):
        asyncio.run(inside(settings.model_copy(update={"budgets": budget})))
    lenient = budget.model_copy(update={"over_budget": "extract"})
    body = asyncio.run(inside(settings.model_copy(update={"budgets": lenient})))
    assert body["mode"] == "extracted"
    assert body["reason"]
    assert [each["outcome"] for each in body["route"]] == ["over_budget"]
