"""The breakers of all providers in one hand, as the faces and the registry of models use them."""

from typing import Any

from groundwork.caches import Cache
from groundwork.errors import NotFound
from groundwork.llms.breaker import Breaker, rules
from groundwork.llms.switches import Position, Switches
from groundwork.settings import LlmSettings
from groundwork.settings.models import LOCAL
from groundwork.store.database import Database


class Breakers:
    """One breaker for each provider, made when first asked for."""

    def __init__(self, database: Database, cache: Cache, settings: LlmSettings) -> None:
        self.switches = Switches(database)
        self._cache = cache
        self._settings = settings
        self._made: dict[str, Breaker] = {}

    @property
    def providers(self) -> list[str]:
        """Names of the providers there are, or may be found on this machine."""
        named = [each.name for each in self._settings.providers]
        found = sorted(LOCAL) if self._settings.discover else []
        return [*named, *(name for name in found if name not in named)]

    def of(self, provider: str) -> Breaker:
        """The breaker of a provider; always the same one."""
        if provider not in self._made:
            self._made[provider] = Breaker(provider, self._cache, rules(self._settings), self.switches)
        return self._made[provider]

    async def page(self, states_known: bool = True) -> dict[str, Any]:
        """Every provider's. `states_known`: this process serves, or shares what is remembered. Raises StoreUnavailable."""
        held = await self.switches.all()
        return {"items": [await self._body(name, held.get(name), states_known) for name in self.providers]}

    async def switch(self, provider: str, position: Position, actor: str, states_known: bool = True) -> dict[str, Any]:
        """Holds a breaker open or closed, or lets it decide for itself; what it is now.

        Raises NotFound for a provider nobody knows, StoreUnavailable.
        """
        if provider not in self.providers:
            known = f"there are {', '.join(self.providers)}" if self.providers else "none is set up"
            raise NotFound(f"There is no provider {provider!r}; {known}.")
        await self.switches.set(provider, position, actor)
        return await self._body(provider, (await self.switches.all()).get(provider), states_known)

    async def publish(self) -> None:
        """Brings the metric of each breaker up to date."""
        for name in self.providers:
            await self.of(name).look()

    async def close(self) -> None:
        """Waits for nothing any more."""
        await self.switches.close()

    async def _body(self, provider: str, held: dict[str, Any] | None, states_known: bool) -> dict[str, Any]:
        look = await self.of(provider).look()
        known = states_known or look.position != "auto"
        return {
            "provider": provider,
            "state": look.state if known else None,
            "switch": look.position,
            "failures": look.own.failures if states_known else None,
            "since": held["since"] if held else None,
            "by": held["by"] if held else None,
        }
