"""What is remembered for a while, and may be forgotten at any moment: nothing here is the record of anything.

`memory` and `redis` are the adapters, `resilient` puts the first in the place of the second while that does not answer.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

Change = Callable[[bytes | None], tuple[bytes | None, T]]
"""From the value as it is (None: there is none) to the value as it shall be (None: removed), and what to answer.

It may be called more than once for one update, so it must do nothing else.
"""


class Cache(Protocol):
    """Values by key, each for some seconds. Raises Unavailable when what holds them does not answer in time."""

    @property
    def shared(self) -> bool:
        """Whether other processes remember the same, as far as is known."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value, unless it was never set, has expired, or was forgotten."""
        ...

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Remembers a value for so long."""
        ...

    async def delete(self, key: str) -> None:
        """Forgets a value; one that is not there is no error."""
        ...

    async def update(self, key: str, change: Change[T], seconds: float) -> T:
        """Changes a value in one step, whoever else changes it at the same moment."""
        ...

    async def close(self) -> None:
        """Gives back what is held outside the process."""
        ...
