"""Rate limits per caller and kind of request."""

from pydantic import SecretStr

from groundwork.caches.windows import Allowance, SlidingMinute
from groundwork.settings import LimitSettings


class Limiter:
    """Counts requests over a minute that slides."""

    def __init__(self, settings: LimitSettings, redis_url: SecretStr | None = None) -> None:
        """`redis_url`: where to count unless the settings of limits name a Redis of their own."""
        self._settings = settings
        self._minute = SlidingMinute(settings.redis_url or redis_url)

    async def hit(self, kind: str, caller: str) -> Allowance | None:
        """Counts a request; None where there is no limit. A Redis that fails costs nobody anything."""
        most = getattr(self._settings, f"{kind}_per_minute", 0)
        return await self._minute.hit(most, kind, caller) if most else None

    async def close(self) -> None:
        """Lets go of Redis."""
        await self._minute.close()
