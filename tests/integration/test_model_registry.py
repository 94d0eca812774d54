"""Which models there are, in which order, and that local servers are found when they start."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

from groundwork.assembly import Platform
from groundwork.errors import NotFound
from groundwork.llms import Message, ModelFailed, Prompt, Usage
from groundwork.llms.discover import Discovery
from groundwork.llms.registry import Models
from groundwork.settings import LlmSettings, Settings
from groundwork.settings.models import ADDRESSES
from plugins.installation import on_platform
from plugins.model_server import Behaviour, ModelServer, fails, free_port, serve_models

_PROMPT = Prompt("Be brief.", (Message("user", "Ready?"),), 32)


@pytest.fixture
def server() -> Generator[ModelServer]:
    with serve_models() as running:
        yield running


def _llms(*providers: dict[str, Any], **more: Any) -> LlmSettings:
    return LlmSettings.model_validate({"providers": providers, "discover": False, **more})


def _provider(name: str, url: str = "http://127.0.0.1:9", kind: str = "compatible", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "url": f"{url}/v1", "models": ["m"], "price": {}, **more}


def _names(models: Models, private: bool = False) -> list[str]:
    return [f"{each.provider}/{each.name}" for each in models.candidates(private)]


def _with_models(settings: Settings, llms: LlmSettings, work: Callable[[Models], Any]) -> Any:
    async def inside(platform: Platform) -> Any:
        return await work(platform.models)

    return on_platform(settings.model_copy(update={"llms": llms}), inside)


def test_models_are_asked_by_tier_and_then_as_listed(settings: Settings) -> None:
    llms = _llms(
        _provider("later", tier=2),
        _provider("first", tier=1, models=["b", "org/a"]),
        _provider("own", tier=0),
        _provider("second", tier=1),
    )

    async def work(models: Models) -> None:
        assert models.any
        assert _names(models) == ["own/m", "first/b", "first/org/a", "second/m", "later/m"]
        assert _names(models, private=True) == ["own/m"]
        assert models.find("first/org/a").name == "org/a"
        with pytest.raises(NotFound, match="models list"):
            models.find("first/c")

    _with_models(settings, llms, work)


def test_privacy_mode_leaves_tier_0_only(settings: Settings) -> None:
    async def work(models: Models) -> list[str]:
        return _names(models)

    llms = _llms(_provider("own", tier=0), _provider("cloud", tier=1), private=True)
    assert _with_models(settings, llms, work) == ["own/m"]


def test_without_providers_there_is_no_model(settings: Settings) -> None:
    async def work(models: Models) -> tuple[bool, list[str]]:
        await models.warm()
        return models.any, _names(models)

    assert _with_models(settings, _llms(), work) == (False, [])


def test_a_model_answers_under_guard(settings: Settings, server: ModelServer) -> None:
    async def work(models: Models) -> list[str]:
        await models.warm()
        model = models.find("own/m")
        usage = Usage()
        said = "".join([piece async for piece in model.stream(_PROMPT, usage)])
        server.default = fails(500)
        outcomes = [said]
        for _ in range(6):
            try:
                _ = [piece async for piece in model.stream(_PROMPT, Usage())]
            except ModelFailed as error:
                outcomes.append(error.outcome)
        return outcomes

    said, *outcomes = _with_models(settings, _llms(_provider("own", server.url)), work)
    assert said == "Groundwork answers from documents."
    assert outcomes == ["error"] * 5 + ["circuit_open"]
    assert len(server.requests) == 6


def test_a_local_server_is_found_when_it_starts_and_left_when_it_ends(settings: Settings) -> None:
    port = free_port()
    llms = LlmSettings(discover=True)
    addresses = {**ADDRESSES, "ollama": f"http://127.0.0.1:{port}/v1", "jan": f"http://127.0.0.1:{free_port()}/v1"}

    async def inside(platform: Platform) -> None:
        models = Models(llms, platform.guards, Discovery(llms, addresses))  # pyright: ignore[reportArgumentType]
        await models.look()
        assert not models.any
        with serve_models(port) as server:
            server.models = ["gpt-oss:120b-cloud", "kimi-k2:cloud", "nomic-embed-text", "llama3.1:8b"]
            await models.look()
            assert _names(models, private=True) == ["ollama/llama3.1:8b"]
            model = models.candidates(private=True)[0]
            assert model.price.free
            assert [piece async for piece in model.stream(_PROMPT, Usage())]
            assert server.requests[0].body["model"] == "llama3.1:8b"
            listed = (await models.describe())["items"][0]
            assert listed["found"]
            assert listed["private"]
        await models.look()
        assert not models.any
        await models.close()

    on_platform(settings, inside)


@pytest.mark.parametrize(
    "listing",
    [
        Behaviour(silent=True),
        fails(500),
        Behaviour(body="<html>"),
        Behaviour(body='{"data": [1]}'),
        Behaviour(body="[]"),
    ],
    ids=["silent", "broken", "a page", "strange", "a list"],
)
def test_what_is_no_model_server_is_no_model_and_delays_nothing(server: ModelServer, listing: Behaviour) -> None:
    server.listing = listing
    llms = LlmSettings(discover=True)
    addresses = {**ADDRESSES, "ollama": f"{server.url}/v1", "jan": f"http://127.0.0.1:{free_port()}/v1"}
    discovery = Discovery(llms, addresses)  # pyright: ignore[reportArgumentType]
    assert asyncio.run(asyncio.wait_for(discovery.look(), 10)) == []


def test_nothing_is_looked_for_that_is_named_or_unwanted() -> None:
    assert Discovery(_llms()).wanted == []
    named = LlmSettings.model_validate({"providers": [_provider("here", kind="ollama")]})
    assert [each.kind for each in Discovery(named).wanted] == ["jan"]


def test_a_local_provider_without_models_is_asked_for_its_first(settings: Settings, server: ModelServer) -> None:
    server.models = ["qwen3:8b", "llama3.1:8b"]

    async def work(models: Models) -> list[str]:
        return _names(models)

    own = {**_provider("gpu", server.url, kind="ollama"), "models": []}
    assert _with_models(settings, _llms(own), work) == ["gpu/qwen3:8b"]


def test_the_list_says_what_is_missing_and_no_secret(settings: Settings) -> None:
    llms = _llms(
        {"name": "dear", "kind": "openai", "models": ["nobody-knows"], "api_key": "sk-secret"},
        {"name": "keyless", "kind": "groq", "models": ["llama-3.3-70b-versatile"], "api_key_env": "NOT_SET_ANYWHERE"},
        {"name": "silent", "kind": "ollama", "url": f"http://127.0.0.1:{free_port()}/v1"},
    )

    async def work(models: Models) -> dict[str, Any]:
        return await models.describe()

    told = _with_models(settings, llms, work)
    dear, keyless, silent = told["items"]
    assert (dear["price"], dear["key"]) == (None, "there")
    assert "set price" in dear["problem"]
    assert (keyless["key"], keyless["key_place"]) == ("missing", "environment variable NOT_SET_ANYWHERE")
    assert keyless["requests_per_minute"] == 28
    assert silent["model"] is None
    assert "does not answer" in silent["problem"]
    assert "sk-secret" not in str(told)
