"""`groundwork models`, `GET /api/v1/models`, and the examples of docs/models.md."""

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from groundwork.settings.models import ProviderSettings
from groundwork.store.embedded import EmbeddedServer
from plugins.model_server import ModelServer, fails, serve_models
from plugins.service import command, command_json, service

_KEY = "sk-very-secret-0123456789"
_PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[ModelServer]:
    monkeypatch.setenv("ACME_KEY", _KEY)
    with serve_models() as running:
        yield running


@pytest.fixture
def installed(data_dir: Path) -> Generator[Path]:
    """A data directory whose database runs, so that not every command starts it."""
    with EmbeddedServer(data_dir, durable=False):
        yield data_dir


def _variables(*providers: dict[str, Any]) -> dict[str, str]:
    return {"LLMS__PROVIDERS": json.dumps(providers)}


def _own(server: ModelServer) -> dict[str, Any]:
    return {"name": "own", "kind": "compatible", "url": f"{server.url}/v1", "models": ["m-1"], "tier": 0}


def _paid(server: ModelServer) -> dict[str, Any]:
    return {**_own(server), "name": "paid", "tier": 1, "api_key_env": "ACME_KEY",
            "price": {"input_per_million": "1000", "output_per_million": "2000"}}  # fmt: skip


def test_models_are_listed_and_tried(installed: Path, server: ModelServer) -> None:
    variables = _variables(_paid(server), _own(server))
    listed = command(installed, "models", "list", **variables)
    assert listed.returncode == 0, listed.stderr
    assert "0 (private)" in listed.stdout
    assert "$1000 / $2000" in listed.stdout
    assert "environment variable ACME_KEY" in listed.stdout
    assert server.requests == [], "listing asks nothing"

    unasked = command(installed, "models", "test", **variables)
    assert unasked.returncode == 2
    assert "paid" in unasked.stderr
    assert "--yes" in unasked.stderr
    assert server.requests == [], "money is not spent unasked"

    tried = command_json(installed, "models", "test", "--yes", **variables)["items"]
    assert [each["model"] for each in tried] == ["m-1", "m-1"]
    own, paid = tried
    assert own["cost_usd"] == "0"
    assert paid["cost_usd"] == "0.025"
    assert paid["outcome"] == "answered"
    assert 0 < paid["first_token_ms"] <= paid["total_ms"]
    assert _KEY not in listed.stdout + listed.stderr + unasked.stderr + str(tried)


def test_a_model_that_fails_is_told_by_the_exit_code(installed: Path, server: ModelServer) -> None:
    server.default = fails(401, f"Incorrect API key provided: {_KEY}")
    tried = command(installed, "models", "test", "paid", "--yes", **_variables(_own(server), _paid(server)))
    assert tried.returncode == 1
    assert "refused with 401" in tried.stdout
    assert _KEY not in tried.stdout + tried.stderr
    assert len(server.requests) == 1, "only the provider that was named"
    unknown = command(installed, "models", "test", "nobody", "--yes", **_variables(_own(server)))
    assert unknown.returncode == 4
    assert "there are own" in unknown.stderr


def test_without_models_the_list_says_what_that_means(installed: Path) -> None:
    listed = command(installed, "models", "list")
    assert listed.returncode == 0
    assert "documents' own sentences" in listed.stdout


def test_programs_learn_which_models_there_are(installed: Path, server: ModelServer) -> None:
    with service(installed, **_variables(_paid(server), _own(server))) as running:
        assert httpx.get(f"{running.url}/api/v1/models").status_code == 401
        told = httpx.get(f"{running.url}/api/v1/models", headers={"X-API-Key": running.key})
    assert told.status_code == 200
    assert told.json() == {
        "items": [{"provider": "own", "model": "m-1", "tier": 0}, {"provider": "paid", "model": "m-1", "tier": 1}],
        "private": False,
    }


def test_every_example_of_the_page_is_understood() -> None:
    entries = re.findall(r"^```json\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    listed = re.findall(r"GROUNDWORK_LLMS__PROVIDERS='(.*?)'", _PAGE, re.DOTALL)
    examples = [*map(json.loads, entries), *(each for text in listed for each in json.loads(text))]
    assert {each["kind"] for each in examples} >= {"ollama", "groq", "openai", "anthropic", "compatible"}
    assert all(ProviderSettings.model_validate(each).models for each in examples)


def test_the_page_knows_every_field() -> None:
    fields = re.findall(r"^\| (`.*?) \|", _PAGE.partition("## Fields")[2].partition("## Keys")[0], re.MULTILINE)
    named = {name for field in fields for name in re.findall(r"`(\w+)`", field)}
    assert named == set(ProviderSettings.model_fields)
