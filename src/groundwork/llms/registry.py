"""Every language model there is: of the providers in the settings, and of servers found on this machine."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from groundwork.errors import Invalid, NotFound
from groundwork.llms import LanguageModel, Price
from groundwork.llms.discover import Discovery
from groundwork.llms.guard import Guards
from groundwork.llms.keys import needs_key, read_key, where
from groundwork.llms.served import Line, PydanticAiModel
from groundwork.settings import LlmSettings
from groundwork.settings.models import ProviderSettings

log = structlog.get_logger()

_LOOK_SECONDS = 60.0


@dataclass(frozen=True)
class Listed:
    """One model, and what is to be known about it."""

    settings: ProviderSettings
    model: PydanticAiModel
    guarded: LanguageModel
    found: bool
    """Nobody named its server."""


class Models:
    """The models in the order in which they are asked. What is in use stays in use while others are found or lost."""

    def __init__(self, settings: LlmSettings, guards: Guards, discovery: Discovery | None = None) -> None:
        self._settings = settings
        self._guards = guards
        self._discovery = discovery or Discovery(settings)
        self._lines: dict[tuple[str, str], Line] = {}
        self._named = [each for each in settings.providers if each.models]
        self._listed = self._list([])

    @property
    def any(self) -> bool:
        """Whether there is a model at all."""
        return bool(self._listed)

    @property
    def listed(self) -> Sequence[Listed]:
        """All of them, in the order in which they are asked."""
        return self._listed

    def candidates(self, private: bool) -> Sequence[LanguageModel]:
        """Models to ask, the first first. `private`: only those of tier 0, as always in privacy mode."""
        only = private or self._settings.private
        return [each.guarded for each in self._listed if each.settings.in_tier == 0 or not only]

    def find(self, name: str) -> LanguageModel:
        """The model called "provider/model". Raises NotFound."""
        for each in self._listed:
            if name == f"{each.settings.name}/{each.model.name}":
                return each.guarded
        raise NotFound(f"There is no model {name!r}. `groundwork models list` names those there are.")

    async def look(self) -> None:
        """Looks once for servers on this machine; takes a second at most."""
        before = {each.model.provider for each in self._listed}
        self._listed = self._list(await self._discovery.look())
        for each in self._listed:
            if each.model.provider not in before:
                log.info("a local model server was found", provider=each.model.provider, model=each.model.name)

    async def follow(self) -> None:
        """Loads what models need, and looks for more again and again, for as long as it runs."""
        await self.warm()
        while self._discovery.wanted:
            await self.look()
            await self.warm()
            await asyncio.sleep(_LOOK_SECONDS)

    async def warm(self) -> None:
        """Loads what the first request would wait for: seconds of work, in threads."""
        await asyncio.to_thread(lambda: [each.model.price for each in self._listed])
        for line in {each.model.line for each in self._listed}:
            await line.wire()

    async def close(self) -> None:
        """Ends every connection."""
        lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            await line.close()

    async def describe(self) -> dict[str, Any]:
        """Every model with its provider, price and what it lacks; no secrets."""
        rows = await asyncio.to_thread(lambda: [_row(each) for each in self._listed])
        known = {each.settings.name for each in self._listed}
        silent = [each for each in self._settings.providers if each.name not in known]
        return {"items": [*rows, *map(_silent_row, silent)], "private": self._settings.private}

    def _list(self, found: Iterable[ProviderSettings]) -> list[Listed]:
        named = {each.name for each in self._settings.providers}
        places = {each.name: number for number, each in enumerate(self._settings.providers)}
        providers = sorted(
            [*self._named, *found], key=lambda each: (each.in_tier, places.get(each.name, len(places)), each.name)
        )
        return [self._one(each, name, each.name not in named) for each in providers for name in each.models]

    def _one(self, settings: ProviderSettings, name: str, found: bool) -> Listed:
        key = (settings.name, "" if settings in self._named else name)
        if key not in self._lines:
            self._lines[key] = Line(settings)
        model = PydanticAiModel(self._lines[key], name)
        return Listed(settings, model, self._guards.around(model, settings.per_minute), found)


def _row(listed: Listed) -> dict[str, Any]:
    state, problem = _key(listed.settings)
    if not listed.model.price_known:
        problem = problem or "price unknown: set price; until then it counts as dear as the dearest"
    return {
        **_provider(listed.settings),
        "model": listed.model.name,
        "found": listed.found,
        "price": _price(listed.model.price) if listed.model.price_known else None,
        "key": state,
        "problem": problem,
    }


def _silent_row(settings: ProviderSettings) -> dict[str, Any]:
    problem = "it does not answer, or has no model, and none is named in its models"
    return {
        **_provider(settings),
        "model": None,
        "found": False,
        "price": None,
        "key": _key(settings)[0],
        "problem": problem,
    }


def _provider(settings: ProviderSettings) -> dict[str, Any]:
    return {
        "provider": settings.name,
        "kind": settings.kind,
        "tier": settings.in_tier,
        "private": settings.in_tier == 0,
        "address": settings.address.partition("?")[0],
        "requests_per_minute": settings.per_minute or None,
        "key_place": where(settings),
    }


def _price(price: Price) -> dict[str, str]:
    shown = {
        "input_per_million": price.input_per_million,
        "output_per_million": price.output_per_million,
        "per_request": price.per_request,
    }
    return {name: format(amount.normalize(), "f") for name, amount in shown.items()}


def _key(settings: ProviderSettings) -> tuple[Literal["there", "missing", "not_needed"], str | None]:
    if where(settings) is None and not needs_key(settings):
        return "not_needed", None
    try:
        read_key(settings)
    except Invalid as error:
        return "missing", error.message
    return "there", None
