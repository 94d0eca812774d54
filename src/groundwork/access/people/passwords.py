"""Passwords: hashed with Argon2id, checked at the same cost whether or not there is one to check against."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING

from groundwork.errors import Busy, Invalid

if TYPE_CHECKING:
    from pwdlib import PasswordHash

SHORTEST = 12
_LONGEST = 1024
_AT_ONCE = 2
"""Hashing takes tens of MiB and a core: more at once would not be faster."""
_MOST_WAITING = 20


def new_password() -> str:
    """A random one, for somebody who is to change it."""
    return secrets.token_urlsafe(18)


def check_strength(password: str, name: str = "") -> None:
    """Raises Invalid for a password that is short, endless or the name of its user."""
    if len(password) < SHORTEST:
        raise Invalid(f"The password is too short: choose at least {SHORTEST} characters.")
    if len(password) > _LONGEST:
        raise Invalid(f"The password is too long: choose at most {_LONGEST} characters.")
    if len(set(password)) < 5 or (name and name.casefold() in password.casefold() and len(password) < 2 * len(name)):
        raise Invalid("The password is too easy to guess: choose several unrelated words, or random characters.")


class Passwords:
    """Hashes and checks, a few at a time. One for each event loop."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def digest(self, password: str) -> str:
        """The hash to keep. Raises Busy when too many wait for theirs."""
        async with self._turn():
            return await asyncio.to_thread(_hasher().hash, password)

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether it is the password that was hashed; as slow for somebody who has none. Raises Busy."""
        async with self._turn():
            return await asyncio.to_thread(_verify, password[:_LONGEST], stored)

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        if self._waiting >= _MOST_WAITING:
            raise Busy("Too many people sign in at once; try again in a moment.")
        self._waiting += 1
        try:
            async with self._gate:
                yield
        finally:
            self._waiting -= 1


def _verify(password: str, stored: str | None) -> bool:
    nobodys = _nobodys()  # made by the first login of all, whoever signs in: a wrong name must not take longer
    matched = _hasher().verify(password, stored or nobodys)
    return matched and stored is not None


@cache
def _hasher() -> "PasswordHash":
    from pwdlib import PasswordHash  # start-up time
    from pwdlib.hashers.argon2 import Argon2Hasher  # start-up time

    return PasswordHash((Argon2Hasher(),))


@cache
def _nobodys() -> str:
    return _hasher().hash(secrets.token_urlsafe())
