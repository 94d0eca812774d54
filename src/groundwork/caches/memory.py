"""What one process remembers by itself: bounded by bytes, the least recently used forgotten first."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from groundwork.caches import Change

T = TypeVar("T")

_OVERHEAD = 200
"""Bytes that an entry takes beside its key and value, roughly as CPython has it."""


class MemoryCache:
    """The double of the port, and what stands in for Redis; it never fails. For one event loop."""

    def __init__(self, max_bytes: int, now: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._now = now
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self.size = 0
        """Bytes held."""

    @property
    def shared(self) -> bool:
        """Never."""
        return False

    async def get(self, key: str) -> bytes | None:
        """The value, unless it was never set, has expired, or was forgotten."""
        return self._get(key)

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Remembers a value for so long; one larger than all there is room for is not remembered."""
        self._set(key, value, seconds)

    async def delete(self, key: str) -> None:
        """Forgets a value."""
        self._forget(key)

    async def update(self, key: str, change: Change[T], seconds: float) -> T:
        """Changes a value in one step: nothing here waits, so nothing comes in between."""
        value, answer = change(self._get(key))
        if value is None:
            self._forget(key)
        else:
            self._set(key, value, seconds)
        return answer

    async def close(self) -> None:
        """Forgets everything."""
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()
        self.size = 0

    def _get(self, key: str) -> bytes | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if found[1] <= self._now():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return found[0]

    def _set(self, key: str, value: bytes, seconds: float) -> None:
        self._forget(key)
        size = _size(key, value)
        if seconds <= 0 or size > self._max_bytes:
            return
        self._kept[key] = (value, self._now() + seconds)
        self.size += size
        while self.size > self._max_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.size -= _size(key, found[0])


def _size(key: str, value: bytes) -> int:
    return len(key.encode("utf-8", "surrogatepass")) + len(value) + _OVERHEAD
