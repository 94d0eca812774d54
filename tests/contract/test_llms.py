"""Language models over real HTTP: what providers do wrong, and what a reader, an operator and a budget are told of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any, Literal

import pytest

from groundwork.llms import Message, ModelFailed, Outcome, Prompt, Usage
from groundwork.llms.served import Line, PydanticAiModel
from groundwork.llms.tokens import estimate, estimate_prompt
from groundwork.settings.models import ProviderSettings
from plugins.model_server import (
    TEXT,
    Behaviour,
    ModelServer,
    cuts,
    fails,
    free_port,
    limited,
    nonsense,
    says,
    serve_models,
    stalls,
    unfinished,
)

_KEY = "sk-very-secret-0123456789"
_SECRET_QUESTION = "who is paid most at Fulmar & Sons?"
_PROMPT = Prompt(
    "Be brief.",
    (Message("user", "Hello?"), Message("assistant", "Yes?"), Message("user", _SECRET_QUESTION)),
    64,
)
Protocol = Literal["compatible", "openai", "anthropic"]

pytestmark = pytest.mark.parametrize("protocol", ["compatible", "openai", "anthropic"])


@pytest.fixture(scope="module")
def running() -> Generator[ModelServer]:
    with serve_models() as server:
        yield server


@pytest.fixture
def server(running: ModelServer) -> ModelServer:
    running.script.clear()
    running.requests.clear()
    return running


def _settings(protocol: Protocol, url: str, **more: Any) -> ProviderSettings:
    # Generous, since a slow machine must not look like a slow provider; each test of a time-out sets its own.
    seconds = {"first_token_seconds": 20.0, "stall_seconds": 20.0, "total_seconds": 60.0}
    base = url if protocol == "anthropic" else f"{url}/v1"
    chosen: dict[str, Any] = {"name": "acme", "kind": protocol, "url": base, "models": ["m-1"], "api_key": _KEY}
    return ProviderSettings.model_validate({**chosen, **seconds, **more})


class _Told:
    """What came of one request."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.usage = Usage()
        self.failure: ModelFailed | None = None

    @property
    def outcome(self) -> Outcome:
        return self.failure.outcome if self.failure else "answered"


def _ask(settings: ProviderSettings, prompt: Prompt = _PROMPT) -> _Told:
    async def run() -> _Told:
        told = _Told()
        line = Line(settings)
        try:
            async for piece in PydanticAiModel(line, settings.models[0]).stream(prompt, told.usage):
                told.pieces.append(piece)
        except ModelFailed as error:
            told.failure = error
        finally:
            await line.close()
        return told

    return asyncio.run(run())


def test_an_answer_comes_in_pieces_with_what_it_took(protocol: Protocol, server: ModelServer) -> None:
    server.script.append(says("One ", "two ", "three.", usage=(17, 9)))
    told = _ask(_settings(protocol, server.url))
    assert told.pieces == ["One ", "two ", "three."]
    assert told.usage == Usage(17, 9, reported=True)


def test_half_a_surrogate_pair_is_replaced(protocol: Protocol, server: ModelServer) -> None:
    server.script.append(says("Odd \ud83d."))
    assert "".join(_ask(_settings(protocol, server.url)).pieces) == "Odd \N{REPLACEMENT CHARACTER}."


def test_nothing_is_counted_below_zero(protocol: Protocol, server: ModelServer) -> None:
    server.script.append(says("One.", usage=(-5, -7)))
    told = _ask(_settings(protocol, server.url))
    assert told.outcome in {"answered", "nonsense"}
    assert told.usage.input_tokens >= 0
    assert told.usage.output_tokens >= 0
    assert not told.usage.reported


def test_the_prompt_arrives_whole_and_no_more_than_needed_goes_with_it(
    protocol: Protocol, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "of-somebody-else")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Extra: of-somebody-else")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Extra: of-somebody-else")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert _ask(_settings(protocol, server.url)).outcome == "answered"
    asked = server.requests[0]
    for text in ("Be brief.", "Hello?", "Yes?", _SECRET_QUESTION):
        assert text in str(asked.body)
    assert asked.body["model"] == "m-1"
    assert asked.body["max_completion_tokens" if protocol == "openai" else "max_tokens"] == 64
    assert asked.headers["authorization"] == f"Bearer {_KEY}"
    assert asked.headers["user-agent"] == "groundwork"
    assert "of-somebody-else" not in str(asked.headers)
    assert not [name for name in asked.headers if "stainless" in name]


_FAULTS: dict[str, tuple[Behaviour, Outcome]] = {
    "500": (fails(500), "error"),
    "503": (fails(503), "error"),
    "401": (fails(401, f"Incorrect API key provided: {_KEY}"), "error"),
    "400": (fails(400, f"cannot answer {_SECRET_QUESTION}"), "error"),
    "404": (fails(404), "error"),
    "elsewhere": (Behaviour(status=302, headers={"Location": "http://127.0.0.1:9/"}, body=""), "error"),
    "429": (limited("7"), "rate_limited"),
    "429 without a time": (limited(None), "rate_limited"),
    "429 with a strange time": (limited("soon"), "rate_limited"),
    "cut before a word": (cuts(0), "error"),
    "cut": (cuts(2), "cut"),
    "unfinished before a word": (unfinished(0), "error"),
    "unfinished": (unfinished(2), "cut"),
    "a web page": (nonsense("html"), "nonsense"),
    "broken JSON": (nonsense("json"), "nonsense"),
    "no choice": (nonsense("no_choices"), "nonsense"),
    "no word": (nonsense("empty"), "nonsense"),
    "only blanks": (says(" ", "\n"), "nonsense"),
    "JSON of another kind": (Behaviour(body='{"hello": "world"}'), "nonsense"),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_each_fault_has_its_outcome_and_tells_no_secret(
    protocol: Protocol, fault: str, server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    behaviour, outcome = _FAULTS[fault]
    if fault == "broken JSON" and protocol == "anthropic":
        behaviour = Behaviour(
            body="event: message_start\ndata: {oops\n\n", headers={"Content-Type": "text/event-stream"}
        )
    server.script.append(behaviour)
    told = _ask(_settings(protocol, server.url))
    assert told.outcome == outcome
    assert len(server.requests) == 1, "nothing is sent twice"
    assert told.failure is not None
    assert "acme" in told.failure.message
    seen = f"{told.failure!r} {told.failure.__cause__!r} {caplog.text}"
    assert _KEY not in seen
    assert _SECRET_QUESTION not in seen


def test_the_time_a_provider_asks_for_is_passed_on(protocol: Protocol, server: ModelServer) -> None:
    server.script.extend([limited("7"), limited(None)])
    waits = [_ask(_settings(protocol, server.url)).failure for _ in range(2)]
    assert [each and each.retry_after for each in waits] == [7, None]


@pytest.mark.parametrize(
    ("behaviour", "limits", "says_which"),
    [
        (stalls(), {"first_token_seconds": 0.3}, "first_token_seconds"),
        (stalls(0), {"first_token_seconds": 0.3}, "first_token_seconds"),
        (stalls(2), {"stall_seconds": 0.3}, "stall_seconds"),
        (Behaviour(TEXT * 500, between=0.02), {"total_seconds": 1.0}, "total_seconds"),
    ],
    ids=["nothing", "only a head", "in the middle", "too long"],
)
def test_waiting_ends(
    protocol: Protocol, server: ModelServer, behaviour: Behaviour, limits: dict[str, float], says_which: str
) -> None:
    server.script.append(behaviour)
    told = _ask(_settings(protocol, server.url, **limits))
    assert told.outcome == "timeout"
    assert told.failure is not None
    assert says_which in told.failure.message
    server.wait_for(lambda server: server.at_work == 0)
    assert server.requests[0].left_at is not None, "the connection was ended"


def test_a_slow_answer_that_goes_on_is_no_stalled_one(protocol: Protocol, server: ModelServer) -> None:
    server.script.append(says(*TEXT, between=0.4))
    told = _ask(_settings(protocol, server.url, first_token_seconds=1.0, stall_seconds=1.0))
    assert told.outcome == "answered"


def test_a_provider_that_is_gone_costs_nothing(protocol: Protocol, server: ModelServer) -> None:
    told = _ask(_settings(protocol, f"http://127.0.0.1:{free_port()}"))
    assert told.outcome == "error"
    assert told.usage == Usage()
    assert server.requests == []


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_refused_request_costs_nothing(protocol: Protocol, server: ModelServer, status: int) -> None:
    server.script.append(fails(status))
    assert _ask(_settings(protocol, server.url)).usage == Usage()


@pytest.mark.parametrize("behaviour", [says(*TEXT, usage=None), cuts(3), unfinished(4)], ids=["whole", "cut", "ended"])
def test_what_nobody_counted_is_estimated(protocol: Protocol, server: ModelServer, behaviour: Behaviour) -> None:
    server.script.append(behaviour)
    told = _ask(_settings(protocol, server.url))
    assert not told.usage.reported
    # Anthropic counts the prompt before it answers.
    assert told.usage.input_tokens in {estimate_prompt(_PROMPT), 11}
    assert told.usage.output_tokens == estimate("".join(told.pieces))


def test_closing_the_iterator_ends_the_connection_at_once(protocol: Protocol, server: ModelServer) -> None:
    server.script.append(stalls(2))

    async def run() -> Usage:
        line = Line(_settings(protocol, server.url))
        usage = Usage()
        pieces = PydanticAiModel(line, "m-1").stream(_PROMPT, usage)
        assert await anext(pieces) == TEXT[0]
        await pieces.aclose()  # pyright: ignore[reportAttributeAccessIssue]
        await asyncio.to_thread(server.wait_for, lambda server: server.requests[0].left_at is not None)
        await line.close()
        return usage

    usage = asyncio.run(run())
    assert usage.output_tokens >= estimate(TEXT[0])
    assert usage.input_tokens > 0


def test_a_cancelled_request_ends_the_connection_at_once(protocol: Protocol, server: ModelServer) -> None:
    server.script.append(stalls())

    async def run() -> None:
        line = Line(_settings(protocol, server.url))
        task = asyncio.create_task(_all(PydanticAiModel(line, "m-1").stream(_PROMPT, Usage())))
        await asyncio.to_thread(server.wait_for, lambda server: server.at_work == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_for, lambda server: server.requests[0].left_at is not None)
        await line.close()

    asyncio.run(run())
    assert server.requests[0].left_at is not None


async def _all(pieces: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in pieces]


def test_many_streams_run_side_by_side(protocol: Protocol, server: ModelServer) -> None:
    server.script.extend([stalls(1)] * 120)

    async def run() -> None:
        line = Line(_settings(protocol, server.url))
        model = PydanticAiModel(line, "m-1")
        streams = [asyncio.create_task(_all(model.stream(_PROMPT, Usage()))) for _ in range(120)]
        await asyncio.to_thread(server.wait_for, lambda server: server.at_work == 120, 60.0)
        for each in streams:
            each.cancel()
        await asyncio.wait(streams)
        await line.close()

    asyncio.run(run())
    server.wait_for(lambda server: server.at_work == 0)
    assert len(server.requests) == 120


def test_a_key_is_read_for_every_request(protocol: Protocol, server: ModelServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    settings = _settings(protocol, server.url, api_key=None, api_key_file=file)

    async def run() -> list[str]:
        line = Line(settings)
        said: list[str] = []
        for content in ("first-key\n", "second-key", "", "schlüssel"):
            file.write_text(content, encoding="utf-8")
            try:
                await _all(PydanticAiModel(line, "m-1").stream(_PROMPT, Usage()))
                said.append("answered")
            except ModelFailed as error:
                said.append(error.message)
        await line.close()
        return said

    first, second, empty, strange = asyncio.run(run())
    assert [first, second] == ["answered", "answered"]
    assert "acme" in empty
    assert "is empty" in empty
    assert "acme" in strange
    assert "schl" not in strange
    assert [each.headers["authorization"] for each in server.requests] == ["Bearer first-key", "Bearer second-key"]


def test_the_event_loop_goes_on_while_libraries_are_loaded(protocol: Protocol, server: ModelServer) -> None:
    async def run() -> float:
        line = Line(_settings(protocol, server.url))
        opening = asyncio.create_task(line.wire())
        longest, loop = 0.0, asyncio.get_running_loop()
        while not opening.done():
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)
        await line.close()
        return longest

    assert asyncio.run(run()) < 2.0
