"""Every fault of a language model, in every tier, as somebody who asks over HTTP meets it."""

import itertools
import json
import re
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from plugins.model_server import (
    TEXT,
    Asked,
    Behaviour,
    ModelServer,
    cuts,
    fails,
    limited,
    nonsense,
    says,
    serve_models,
    stalls,
    unfinished,
)
from plugins.service import Service, service

_NAMES = ("near", "cloud", "far")
_KINDS = ("compatible", "compatible", "anthropic")
_KEYS = tuple(f"sk-very-secret-{name}-0123456789" for name in _NAMES)
_ALL = len(_NAMES)
"""Stands for: every tier has the fault."""
_SECONDS = {"first_token_seconds": 1.5, "stall_seconds": 1.5, "total_seconds": 30.0}
_OPEN_SECONDS = 3.0
_ANSWER = "".join(TEXT)
_TAG = re.compile(r"case (\d+) strikes tier (\d)")


@dataclass
class House:
    """A service with a model server of each tier, and all that it ever said."""

    service: Service
    log: Path
    servers: list[ModelServer]
    stops: list[ExitStack]
    fault: Behaviour = field(default_factory=Behaviour)
    heard: list[str] = field(default_factory=list[str])
    """Every answer, word for word."""

    def decide(self, tier: int, asked: Asked) -> Behaviour:
        """Tiers before the one that is struck fail at once, so that it is reached; those behind it are well."""
        found = _TAG.search(json.dumps(asked.body))
        struck = int(found[2]) if found else 0
        if found is None or tier > struck:
            return says(*TEXT)
        if tier < struck < _ALL:
            return fails(500, f"not this time, {_KEYS[tier]}")
        return _for_anthropic(self.fault) if _KINDS[tier] == "anthropic" else self.fault

    def stop(self, tier: int) -> None:
        """Nobody listens on its port any more."""
        self.stops[tier].close()

    def start(self, tier: int) -> None:
        """Somebody does again."""
        port = int(self.servers[tier].url.rpartition(":")[2]) if tier < len(self.servers) else 0
        running = self.stops[tier].enter_context(serve_models(port))
        running.decide = lambda asked: self.decide(tier, asked)
        self.servers[tier : tier + 1] = [running]

    def ask(self, question: str, stream: bool) -> "Outcome":
        """What came of a question."""
        body = {"question": question, "stream": stream}
        reply = httpx.post(
            f"{self.service.url}/api/v1/ask", json=body, headers={"X-API-Key": self.service.key}, timeout=30
        )
        self.heard.append(f"{reply.headers} {reply.text}")
        if not stream:
            return Outcome(reply.status_code, reply.json())
        assert reply.status_code == 200, reply.text
        events = [_event(block) for block in reply.text.split("\n\n") if block and not block.startswith(":")]
        return Outcome(200 if events[-1][0] == "done" else 503, events[-1][1], events)

    def strike(self, fault: Behaviour, tiers: Sequence[int]) -> "list[tuple[int, str, Outcome]]":
        """The fault in each of these tiers, streamed and not, all at the same time: tier, question and outcome."""
        self.fault = fault
        cases = [(tier, _question(tier), stream) for tier in tiers for stream in (True, False)]
        with ThreadPoolExecutor(len(cases)) as threads:
            asking = [threads.submit(self.ask, question, stream) for _, question, stream in cases]
        return [(tier, question, told.result()) for (tier, question, _), told in zip(cases, asking, strict=True)]

    def asked(self, question: str) -> list[int]:
        """Tiers that were asked it, each as often as it was."""
        return [
            tier
            for tier, server in enumerate(self.servers)
            for each in server.requests
            if question in json.dumps(each.body)
        ]


@dataclass
class Outcome:
    """What somebody who asked was told at the end."""

    status: int
    body: dict[str, Any]
    events: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])

    @property
    def route(self) -> list[tuple[str, str]]:
        """Who was asked, and how that ended."""
        return [(each["provider"], each["outcome"]) for each in self.body["route"]]

    def check_told(self) -> None:
        """The pieces of a stream are the answer of its last event."""
        if self.events:
            pieces = [data["text"] for name, data in self.events if name == "delta"]
            assert "".join(pieces).rstrip() == self.body["answer"]
            assert [name for name, _ in self.events].count("passages") == 1


_numbers = itertools.count()


def _question(tier: int) -> str:
    return f"When was the tunnel opened, now that case {next(_numbers)} strikes tier {tier}?"


def _spared() -> str:
    return f"When was the tunnel opened, now that case {next(_numbers)} strikes nobody?"


def _event(block: str) -> tuple[str, Any]:
    name, data = block.split("\n", 1)
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def _for_anthropic(fault: Behaviour) -> Behaviour:
    broken = "event: message_start\ndata: {oops\n\n"
    return Behaviour(body=broken, headers=fault.headers) if fault == nonsense("json") else fault


def _providers(servers: Sequence[ModelServer]) -> str:
    return json.dumps(
        [
            {
                "name": name,
                "kind": kind,
                "url": server.url if kind == "anthropic" else f"{server.url}/v1",
                "tier": tier,
                "models": ["m"],
                "api_key": key,
                **_SECONDS,
            }
            for tier, (name, kind, key, server) in enumerate(zip(_NAMES, _KINDS, _KEYS, servers, strict=True))
        ]
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    place = tmp_path_factory.mktemp("faults")
    place.chmod(0o755)
    data_dir, log = place / "data", place / "log"
    with ExitStack() as stack:
        house = House(Service(None, ""), log, [], [stack.enter_context(ExitStack()) for _ in _NAMES])  # type: ignore[arg-type]
        for tier in range(_ALL):
            house.start(tier)
        settings = {
            "LLMS__PROVIDERS": _providers(house.servers),
            "LLMS__BREAKER_SECONDS": str(_OPEN_SECONDS),
            "LIMITS__ASK_PER_MINUTE": "0",
            "LIMITS__ADMIN_PER_MINUTE": "0",
            "LOG_LEVEL": "debug",
        }
        house.service = stack.enter_context(service(data_dir, log, **settings))
        _upload(house.service, "tunnel.md", b"# The tunnel\n\nThe tunnel was opened in 1932 by the mayor.")
        _switch(house, "closed")
        assert _ask_until_whole(house).body["mode"] == "generated"
        yield house


def _upload(service: Service, name: str, content: bytes) -> None:
    reply = service.upload(name, content)
    assert service.document_when_done(reply.body["id"])["status"] == "ready"


def _ask_until_whole(house: House) -> Outcome:
    """The libraries of models are loaded behind the service's back; a request that waits for them may time out."""
    return _until(
        lambda: house.ask("How long is the tunnel?", False), lambda told: told.route == [("near", "answered")]
    )


def _until(look: Callable[[], Any], true: Callable[[Any], bool], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not true(seen := look()):
        assert time.monotonic() < deadline, f"waited in vain; the last was {seen}"
        time.sleep(0.05)
    return seen


def _switch(house: House, position: str) -> None:
    """`closed`: the breakers let everything through, whatever happens."""
    for name in _NAMES:
        assert house.service.call("PUT", f"/api/v1/breakers/{name}", {"switch": position}).status == 200


_BEFORE: dict[str, tuple[Behaviour, str]] = {
    "500": (fails(500), "error"),
    "401": (fails(401, f"Incorrect API key provided: {' '.join(_KEYS)}"), "error"),
    "429": (limited("7"), "rate_limited"),
    "stall before a word": (stalls(), "timeout"),
    "stall behind the head": (stalls(0), "timeout"),
    "cut before a word": (cuts(0), "error"),
    "unfinished before a word": (unfinished(0), "error"),
    "a web page": (nonsense("html"), "nonsense"),
    "broken JSON": (nonsense("json"), "nonsense"),
    "no choice": (nonsense("no_choices"), "nonsense"),
    "no word": (nonsense("empty"), "nonsense"),
}
_AFTER: dict[str, tuple[Behaviour, str]] = {
    "stall": (stalls(2), "timeout"),
    "cut": (cuts(2), "cut"),
    "unfinished": (unfinished(2), "cut"),
}


def _check_before(house: House, tier: int, question: str, told: Outcome, outcome: str) -> None:
    """The next tier answered, or when there is none, the documents' own sentences."""
    assert told.status == 200
    told.check_told()
    failed = [(name, "error") for name in _NAMES[:tier]] if tier < _ALL else []
    struck = [(name, outcome) for name in (_NAMES[tier : tier + 1] or _NAMES)]
    answered = [(name, "answered") for name in _NAMES[tier + 1 : tier + 2]]
    assert told.route == [*failed, *struck, *answered]
    assert told.body["mode"] == ("generated" if answered else "extracted")
    if answered:
        assert (told.body["answer"], told.body["reason"]) == (_ANSWER, None)
        assert told.body["usage"]["provider"] == answered[0][0]
    else:
        assert "1932" in told.body["answer"]
        assert [each for each in _NAMES if each not in told.body["reason"]] == []
        assert told.body["citations"][0]["verified"] is True


@pytest.mark.parametrize("fault", _BEFORE)
def test_who_fails_before_the_first_word_is_passed_over(house: House, fault: str) -> None:
    behaviour, outcome = _BEFORE[fault]
    for tier, question, told in house.strike(behaviour, range(_ALL + 1)):
        _check_before(house, tier, question, told, outcome)
        assert house.asked(question) == list(range(len(told.route))), "each is asked once, and nobody else"
    assert _KEYS[0] in house.servers[0].requests[0].headers["authorization"]


@pytest.mark.parametrize("fault", _AFTER)
def test_what_breaks_off_after_the_first_word_is_kept_and_no_other_is_asked(house: House, fault: str) -> None:
    behaviour, outcome = _AFTER[fault]
    for tier, question, told in house.strike(behaviour, range(_ALL)):
        assert told.status == 503
        told.check_told()
        assert told.body["answer"] == "".join(TEXT[:2]).rstrip()
        assert told.route == [*((name, "error") for name in _NAMES[:tier]), (_NAMES[tier], outcome)]
        if told.events:
            assert [name for name, _ in told.events] == ["passages", "delta", "delta", "error"]
            assert told.body["kind"] == "unavailable"
        said = told.body["message" if told.events else "detail"]
        assert said.startswith("The answer broke off: ")
        assert _NAMES[tier] in said
        assert ".." not in said
        assert house.asked(question) == list(range(tier + 1))
    for stream in (True, False):
        assert house.ask(_spared(), stream).body["answer"] == _ANSWER, "the next question is answered"


@pytest.mark.parametrize("tier", range(_ALL), ids=_NAMES)
def test_where_nobody_listens_the_next_tier_answers(house: House, tier: int) -> None:
    house.stop(tier)
    try:
        for _, question, told in house.strike(fails(500), [tier]):
            _check_before(house, tier, question, told, "error")
            assert house.asked(question) == [each for each in range(len(told.route)) if each != tier]
    finally:
        house.start(tier)
    assert house.ask(_spared(), False).route == [("near", "answered")]


def _metric(house: House, sample: str) -> float:
    text = house.service.knowing("").call("GET", "/metrics").content.decode()
    house.heard.append(text)
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _breaker(house: House, provider: str) -> str:
    items = house.service.call("GET", "/api/v1/breakers").body["items"]
    return next(each["state"] for each in items if each["provider"] == provider)


def test_who_fails_five_times_is_left_alone_and_tried_again(house: House) -> None:
    state = 'rag_circuit_breaker_state{provider="near"}'
    _switch(house, "auto")
    try:
        house.fault = fails(500)
        for _ in range(5):
            assert _metric(house, state) == 0
            assert house.ask(_question(0), False).route == [("near", "error"), ("cloud", "answered")]
        assert _metric(house, state) == 1
        for stream in (True, False):
            passed_over = _question(0)
            told = house.ask(passed_over, stream)
            assert told.route == [("near", "circuit_open"), ("cloud", "answered")]
            assert told.body["answer"] == _ANSWER
            assert house.asked(passed_over) == [1], "no request reaches who is left alone"
        house.fault = says(*TEXT)
        _until(lambda: _breaker(house, "near"), lambda seen: seen == "half_open")
        for _ in range(3):
            assert _metric(house, state) == 2
            assert house.ask(_question(0), False).route == [("near", "answered")]
        assert _metric(house, state) == 0
        assert _breaker(house, "near") == "closed"
        moves = [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
        name = "rag_circuit_breaker_transitions_total"
        assert [_metric(house, f'{name}{{from="{a}",provider="near",to="{b}"}}') for a, b in moves] == [1, 1, 1]
    finally:
        _switch(house, "closed")


def test_no_key_was_told_to_anybody(house: House) -> None:
    house.strike(_BEFORE["401"][0], range(_ALL + 1))
    _metric(house, "")
    log = house.log.read_text(encoding="utf-8")
    assert "/api/v1/ask" in log or "groundwork" in log.lower(), "the log was written"
    for text in (log, *house.heard):
        assert [key for key in _KEYS if key in text] == []
