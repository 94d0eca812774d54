"""Metrics and circuit breakers as an operator meets them: over HTTP and on the command line of a running service."""

import json
import re
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from plugins.service import Service, command, command_json, new_key, service

_PROVIDERS = [{"name": "near", "kind": "compatible", "url": "http://127.0.0.1:1/v1", "models": ["m"]}]
_SETTINGS = {"LLMS__PROVIDERS": json.dumps(_PROVIDERS)}


@pytest.fixture(scope="module")
def running() -> Generator[tuple[Service, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data"
    with service(folder, **_SETTINGS) as serving:
        yield serving, folder


def _value(serving: Service, sample: str) -> str | None:
    reply = serving.knowing("").call("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = re.search(rf"^{re.escape(sample)} (\S+)$", reply.content.decode(), re.MULTILINE)
    return found[1] if found else None


def test_metrics_have_the_names_that_dashboards_rely_on(running: tuple[Service, Path]) -> None:
    serving, _ = running
    text = serving.knowing("").call("GET", "/metrics").content.decode()
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    assert names >= {
        "rag_cache_hits_total",
        "rag_cache_misses_total",
        "rag_cache_hit_rate",
        "rag_cache_fallback_active",
        "rag_llm_latency_seconds",
        "rag_llm_first_token_seconds",
        "rag_llm_requests_total",
        "rag_llm_tokens_total",
        "rag_llm_cost_usd_total",
        "rag_circuit_breaker_state",
        "rag_circuit_breaker_transitions_total",
        "rag_rate_limit_remaining",
        "rag_citations_unresolved_total",
    }
    assert not [name for name in names if name.endswith("_created")]


def test_metrics_are_answered_during_maintenance(running: tuple[Service, Path]) -> None:
    serving, _ = running
    assert serving.call("PUT", "/admin/maintenance", {"on": True, "reason": "disks"}).status == 200
    try:
        assert serving.call("POST", "/api/v1/search", {"query": "anything"}).status == 503
        assert _value(serving, "rag_cache_fallback_active") == "0.0"
    finally:
        serving.call("PUT", "/admin/maintenance", {"on": False})


def test_a_breaker_held_by_the_command_line_is_held_in_the_service(running: tuple[Service, Path]) -> None:
    serving, folder = running
    sample = 'rag_circuit_breaker_state{provider="near"}'
    assert _value(serving, sample) == "0.0"
    turned = command(folder, "models", "breaker", "open", "near", **_SETTINGS)
    assert turned.returncode == 0, turned.stderr
    assert turned.stdout == "The breaker of near is held open until `groundwork models breaker auto near`.\n"
    deadline = time.monotonic() + 10
    while _value(serving, sample) != "1.0":
        assert time.monotonic() < deadline
        time.sleep(0.05)

    listed = command_json(folder, "models", "breaker", **_SETTINGS)["items"]
    assert [(each["provider"], each["state"], each["switch"]) for each in listed] == [("near", "open", "open")]
    assert listed[0]["by"].startswith("operator:")

    back = serving.call("PUT", "/api/v1/breakers/near", {"switch": "auto"})
    assert (back.status, back.body["state"], back.body["switch"]) == (200, "closed", "auto")
    assert [each["state"] for each in serving.call("GET", "/api/v1/breakers").body["items"]] == ["closed"]
    shown = command(folder, "models", "breaker", **_SETTINGS)
    assert "unknown" in shown.stdout
    assert "only the service itself knows" in shown.stdout

    entries = command_json(folder, "audit", "list", **_SETTINGS)["items"]
    noted = [(each["subject"], each["details"]) for each in entries if each["action"] == "breaker_switched"]
    assert noted == [("near", {"switch": "auto"}), ("near", {"switch": "open"})]


def test_what_cannot_be_is_refused_in_words(running: tuple[Service, Path]) -> None:
    serving, folder = running
    assert serving.call("PUT", "/api/v1/breakers/far", {"switch": "open"}).status == 404
    assert serving.call("PUT", "/api/v1/breakers/near", {"switch": "ajar"}).status == 422
    reader = serving.knowing(new_key(folder, "search", **_SETTINGS))
    assert reader.call("GET", "/api/v1/breakers").status == 403
    unnamed = command(folder, "models", "breaker", "open", **_SETTINGS)
    assert unnamed.returncode == 2
    assert "groundwork models breaker open PROVIDER" in unnamed.stderr
    unknown = command(folder, "models", "breaker", "open", "far", **_SETTINGS)
    assert unknown.returncode == 4
    assert "there are near" in unknown.stderr
