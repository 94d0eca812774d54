"""What a model is taken to cost, and where its key is looked for: nothing paid ever counts as free."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import Invalid
from groundwork.llms import Price, Usage
from groundwork.llms.keys import needs_key, read_key, where
from groundwork.llms.prices import price_of
from groundwork.llms.tokens import estimate
from groundwork.settings.models import ADDRESSES, LOCAL, ProviderSettings


def _settings(kind: str, **more: Any) -> ProviderSettings:
    url = {"url": "http://llm.example.org/v1"} if kind == "compatible" else {}
    return ProviderSettings.model_validate({"name": "acme", "kind": kind, "models": ["m"], **url, **more})


@pytest.mark.parametrize("kind", sorted(LOCAL))
def test_a_local_model_is_free(kind: str) -> None:
    found = price_of(_settings(kind), "llama3.1:8b")
    assert found.known
    assert found.price.free


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-sonnet-4-5"),
        ("groq", "llama-3.3-70b-versatile"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    ],
)
def test_well_known_models_have_a_price(kind: str, model: str) -> None:
    found = price_of(_settings(kind), model)
    assert found.known
    assert Decimal(0) < found.price.input_per_million <= found.price.output_per_million < 100


def test_where_a_price_rises_with_the_length_the_highest_counts() -> None:
    from genai_prices import Usage as Used
    from genai_prices import calc_price

    ours = price_of(_settings("anthropic"), "claude-sonnet-4-5").price
    for tokens in (1_000, 900_000):
        theirs = calc_price(
            Used(input_tokens=tokens, output_tokens=1_000), "claude-sonnet-4-5", provider_id="anthropic"
        )
        assert ours.at_most(tokens, 1_000) >= theirs.total_price


@pytest.mark.parametrize("kind", [*sorted(set(ADDRESSES) - LOCAL), "compatible"])
def test_an_unknown_model_of_a_paid_provider_is_dear_and_said_to_be_unknown(kind: str) -> None:
    found = price_of(_settings(kind), "a-model-nobody-listed")
    assert not found.known
    assert not found.price.free
    if kind == "openai":
        assert found.price.output_per_million >= price_of(_settings(kind), "gpt-4o-mini").price.output_per_million


def test_what_the_settings_say_counts() -> None:
    price = {"input_per_million": "0.5", "output_per_million": "2", "per_request": "0.001"}
    found = price_of(_settings("compatible", price=price), "m")
    assert found.known
    assert found.price == Price(Decimal("0.5"), Decimal(2), Decimal("0.001"))
    assert found.price.of(Usage(1_000_000, 500_000)) == Decimal("1.501")
    assert price_of(_settings("compatible", price={}), "m").price.free


def test_tokens_are_estimated_on_the_high_side() -> None:
    assert estimate("") == 0
    assert estimate("four") == 2
    assert estimate("ééé") == 2


def test_a_key_is_found_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv("ACME_KEY", " from-env ")
    assert read_key(_settings("groq", api_key_file=tmp_path / "key")) == "from-file"
    assert read_key(_settings("groq", api_key_env="ACME_KEY")) == "from-env"
    assert read_key(_settings("groq", api_key="from-settings")) == "from-settings"
    assert read_key(_settings("compatible")) == ""
    assert where(_settings("groq", api_key_env="ACME_KEY")) == "environment variable ACME_KEY"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "api_key_env"),
        ({"api_key_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE is empty or not set"),
        ({"api_key_file": "/nowhere/at/all"}, "No such file"),
        ({"api_key": "sk-…"}, "copy it again"),
        ({"api_key": "sk one"}, "copy it again"),
        ({"api_key": "sk\nX-Extra: 1"}, "copy it again"),
        ({"api_key": " "}, "empty"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_and_not_shown(more: dict[str, str], says: str) -> None:
    settings = _settings("openai", **more)
    assert needs_key(settings)
    with pytest.raises(Invalid, match=says) as refused:
        read_key(settings)
    assert "acme" in refused.value.message
    assert "sk" not in refused.value.message.replace("ask", "")


def test_a_key_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid, match="no text"):
        read_key(_settings("openai", api_key_file=tmp_path / "key"))
