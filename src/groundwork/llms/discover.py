"""Servers of language models on this machine that nobody had to name: Ollama and Jan, when they run."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import structlog

from groundwork.settings.models import ADDRESSES, LlmSettings, ProviderKind, ProviderSettings

log = structlog.get_logger()

if TYPE_CHECKING:
    import httpx

_PATIENCE_SECONDS = 1.0
_NO_TALKERS = ("embed", "bge-", "rerank", "whisper", "minilm")
"""What models are called that do not write answers."""
_ELSEWHERE = ("-cloud", ":cloud")
"""How Ollama ends the names of models that do not run on the machine, but at its maker's: not private."""


class Discovery:
    """Looks whether local servers run, and which model each would answer with.

    Those are the kinds no provider names (unless that is switched off), and the local ones whose models nobody named.
    """

    def __init__(self, settings: LlmSettings, addresses: Mapping[ProviderKind, str] = ADDRESSES) -> None:
        named = {each.kind for each in settings.providers} | {each.name for each in settings.providers}
        kinds: list[ProviderKind] = [kind for kind in ("jan", "ollama") if settings.discover and kind not in named]
        unnamed = [ProviderSettings(name=kind, kind=kind, url=addresses[kind]) for kind in kinds]
        self.wanted = [*(each for each in settings.providers if not each.models), *unnamed]

    async def look(self) -> list[ProviderSettings]:
        """Those that answer now, each with the model it would answer with. Takes a second at most; never raises."""
        if not self.wanted:
            return []
        import httpx  # start-up time

        async with httpx.AsyncClient(trust_env=False, timeout=_PATIENCE_SECONDS) as client:
            found = await asyncio.gather(*(_models(client, each) for each in self.wanted))
        return [
            each.model_copy(update={"models": [models[0]]})
            for each, models in zip(self.wanted, found, strict=True)
            if models
        ]


async def _models(client: "httpx.AsyncClient", provider: ProviderSettings) -> list[str]:
    import httpx  # start-up time

    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            response = await client.get(f"{provider.address}/models")
        listed = cast(list[dict[str, Any]], response.raise_for_status().json()["data"])
        return _talkers_first([name for each in listed if not (name := str(each["id"])).endswith(_ELSEWHERE)])
    except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
        return []


def _talkers_first(models: list[str]) -> list[str]:
    return sorted(models, key=lambda name: any(word in name.lower() for word in _NO_TALKERS))
