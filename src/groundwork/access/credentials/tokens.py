"""Tokens of people: JWTs signed with a secret that is named in them, so that secrets can be changed at any time."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from groundwork.access.audit.log import note
from groundwork.access.credentials import records
from groundwork.access.scope import Caller
from groundwork.clock import utc_now
from groundwork.errors import Unauthenticated
from groundwork.store.database import Database, Row

_ALGORITHM = "HS256"
_SECRET_BYTES = 32
_FRESH_SECONDS = 10.0
_LONGEST_TOKEN = 4096
_LOOK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class Claims:
    """What a token says that holds."""

    user: UUID
    token: UUID
    generation: int
    expires_at: datetime


@dataclass
class Tokens:
    """Gives tokens out and reads them."""

    database: Database
    minutes: float
    _secrets: dict[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    _signing: str = ""
    _looked: float = float("-inf")

    async def give(self, user: UUID, generation: int) -> str:
        """A token for somebody who has proved who they are."""
        import jwt  # start-up time

        await self._ready()
        now = utc_now()
        claims = {
            "sub": str(user),
            "jti": str(uuid4()),
            "gen": generation,
            "iat": now,
            "exp": now + timedelta(minutes=self.minutes),
        }
        return jwt.encode(claims, self._secrets[self._signing], _ALGORITHM, {"kid": self._signing})

    async def read(self, token: str) -> Claims:
        """What a token says. Raises Unauthenticated for one that is forged, expired, or not a token at all."""
        import jwt  # start-up time

        try:
            if len(token) > _LONGEST_TOKEN:
                raise ValueError
            named: Any = jwt.get_unverified_header(token).get("kid")
            claims = jwt.decode(
                token,
                await self._secret(named),
                [_ALGORITHM],
                options={"require": ["sub", "jti", "gen", "iat", "exp"]},
            )
            generation = claims["gen"]
            if type(generation) is not int:
                raise ValueError
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            return Claims(UUID(claims["sub"]), UUID(claims["jti"]), generation, expires_at)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, OSError):
            raise Unauthenticated("The token does not hold or has expired: get a new one from /auth/token.") from None

    async def seal(self, purpose: str, claims: Mapping[str, str], minutes: float) -> str:
        """`claims`, signed for `purpose` alone: no token, and no seal of another purpose, is taken for it."""
        import jwt  # start-up time

        await self._ready()
        until = utc_now() + timedelta(minutes=minutes)
        return jwt.encode(
            {**claims, "aud": purpose, "exp": until}, self._secrets[self._signing], _ALGORITHM, {"kid": self._signing}
        )

    async def unseal(self, purpose: str, sealed: str) -> dict[str, Any]:
        """What was sealed for `purpose`. Raises Unauthenticated when it was not, or too long ago."""
        import jwt  # start-up time

        try:
            if len(sealed) > _LONGEST_TOKEN:
                raise ValueError
            secret = await self._secret(jwt.get_unverified_header(sealed).get("kid"))
            return jwt.decode(sealed, secret, [_ALGORITHM], audience=purpose, options={"require": ["aud", "exp"]})
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Unauthenticated("What was sealed does not hold or has expired.") from None

    async def revoke(self, token: UUID, by: Caller) -> None:
        """Ends one token: a log-out."""
        async with self.database.transaction() as connection:
            await records.revoke_token(connection, token, utc_now() + timedelta(minutes=self.minutes))
            await note(connection, by.deed("logout", by.name))

    async def forget_expired(self) -> None:
        """Forgets ended tokens that would hold no more anyway."""
        async with self.database.transaction() as connection:
            await records.forget_expired_tokens(connection)

    async def rotate(self, by: Caller) -> dict[str, Any]:
        """Signs with a new secret from now on; tokens of the old one hold until the last of them has expired."""
        retire = utc_now() + timedelta(minutes=self.minutes, seconds=2 * _FRESH_SECONDS)
        name = _new_name()
        async with self.database.transaction() as connection:
            await records.lock_secrets(connection)
            await records.retire_secrets(connection, retire)
            await records.insert_secret(connection, name, secrets.token_bytes(_SECRET_BYTES))
            await note(connection, by.deed("secret_rotated", name))
        await self._refresh(0)
        return {"id": name, "others_hold_until": retire.isoformat()}

    async def list(self) -> dict[str, Any]:
        """The secrets that hold, by id and age; never the secrets themselves."""
        return {"items": [_body(row) for row in await records.secrets(self.database)]}

    async def _ready(self) -> None:
        await self._refresh(_FRESH_SECONDS)
        if not self._signing:
            await self._make_first()

    async def _make_first(self) -> None:
        async with self.database.transaction() as connection:
            if not await records.lock_secrets(connection):
                await records.insert_secret(connection, _new_name(), secrets.token_bytes(_SECRET_BYTES))
        await self._refresh(0)

    async def _secret(self, named: object) -> bytes:
        await self._refresh(_FRESH_SECONDS)
        if isinstance(named, str) and named not in self._secrets:
            await self._refresh(_LOOK_AGAIN_SECONDS)
        if not isinstance(named, str) or named not in self._secrets:
            raise ValueError
        return self._secrets[named]

    async def _refresh(self, older_than: float) -> None:
        if time.monotonic() - self._looked < older_than:
            return
        rows = await records.secrets(self.database)
        self._secrets = {name: bytes(secret) for name, secret, *_ in rows}
        self._signing = next((name for name, _, _, retires in rows if retires is None), "")
        self._looked = time.monotonic()


def _new_name() -> str:
    return f"{utc_now():%Y%m%d}-{secrets.token_hex(4)}"


def _body(row: Row) -> dict[str, Any]:
    name, _, created, retires = row
    return {
        "id": name,
        "signs": retires is None,
        "created_at": created.isoformat(),
        "age_days": round((utc_now() - created).total_seconds() / 86400, 1),
        "retires_at": retires.isoformat() if retires else None,
    }
