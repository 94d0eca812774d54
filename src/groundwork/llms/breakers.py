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
        """Those of the settings, and those that may be found on this machine."""
        named = [each.name for each in self._settings.providers]
        found = sorted(LOCAL) if self._settings.discover else []
        return [*named, *(name for name in found if name not in named)]

    @property
    def in_use(self) -> list[str]:
        """Those of the settings, and those this process has found."""
        named = [each.name for each in self._settings.providers]
        return [*named, *(name for name in self._made if name not in named)]

    def of(self, provider: str) -> Breaker:
        """The breaker of a provider; always the same one."""
        if provider not in self._made:
            self._made[provider] = Breaker(provider, self._cache, rules(self._settings), self.switches)
        return self._made[provider]

    async def page(self, serving: bool = True) -> dict[str, Any]:
        """Every provider's; one that is not shared only means something in a process that is `serving`.

        Raises StoreUnavailable.
        """
        held = await self.switches.all()
        names = [*self.in_use, *(name for name in held if name not in self.in_use)]
        return {"items": [await self._body(name, held.get(name), serving) for name in names]}

    async def switch(self, provider: str, position: Position, actor: str, serving: bool = True) -> dict[str, Any]:
        """Holds a breaker open or closed, or lets it decide for itself; what it is now.

        Raises NotFound for a provider nobody knows, StoreUnavailable.
        """
        if provider not in self.providers:
            known = f"there are {', '.join(self.providers)}" if self.providers else "none is set up"
            raise NotFound(f"There is no provider {provider!r}; {known}.")
        await self.switches.set(provider, position, actor)
        return await self._body(provider, (await self.switches.all()).get(provider), serving)

    async def publish(self) -> None:
        """Brings the metric of each breaker up to date."""
        for name in self.in_use:
            await self.of(name).look()

    async def close(self) -> None:
        """Waits for nothing any more."""
        await self.switches.close()

    async def _body(self, provider: str, held: dict[str, Any] | None, serving: bool) -> dict[str, Any]:
        look = await self.of(provider).look()
        known = serving or self._cache.shared
        return {
            "provider": provider,
            "state": look.state if known or look.position != "auto" else None,
            "switch": look.position,
            "failures": look.own.failures if known else None,
            "since": held["since"] if held else None,
            "by": held["by"] if held else None,
        }
