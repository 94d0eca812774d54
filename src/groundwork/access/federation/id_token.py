"""ID tokens: believed when the provider signed them, for this service, for this sign-on, just now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from groundwork.access.federation.provider import Granted, Provider
from groundwork.errors import Unauthenticated

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signed with a key only the provider has: neither `none` nor a shared secret."""
_LEEWAY_SECONDS = 60
_LONGEST = 64 << 10


class _UnknownKeyError(Exception):
    """None of the keys at hand fits: the provider may have new ones."""


@dataclass(frozen=True)
class _Signed:
    header: Mapping[str, Any]
    token: str


async def proved(granted: Granted, provider: Provider, nonce: str) -> dict[str, Any]:
    """The claims of an ID token that holds. Raises Unauthenticated, Unavailable when the keys cannot be had."""
    signed = _signed(granted.id_token)
    try:
        claims = _opened(signed, await provider.keys())
    except _UnknownKeyError:
        try:
            claims = _opened(signed, await provider.keys(anew=True))
        except _UnknownKeyError:
            raise _refusal("no key of the provider fits its signature") from None
    _check(claims, signed.header, granted, provider, nonce)
    return claims


def _signed(token: str) -> _Signed:
    import jwt  # start-up time

    try:
        if len(token) > _LONGEST:
            raise ValueError
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        raise _refusal("it is not a signed token") from None
    if header.get("alg") not in _ALGORITHMS:
        raise _refusal(f"it is signed with {str(header.get('alg'))[:20]!r}, which proves nothing")
    return _Signed(header, token)


def _opened(signed: _Signed, keys: list[dict[str, Any]]) -> dict[str, Any]:
    """The claims. Raises _UnknownKeyError when no key, or not this one, signed them."""
    import jwt  # start-up time

    algorithm: str = signed.header["alg"]
    try:
        key = jwt.PyJWK(_chosen(signed.header.get("kid"), keys), algorithm)
        claims: Any = json.loads(jwt.PyJWS().decode(signed.token, key, [algorithm]))
    except (jwt.InvalidSignatureError, jwt.InvalidKeyError, jwt.PyJWKError):
        raise _UnknownKeyError from None
    except (jwt.PyJWTError, ValueError):
        raise _refusal("it is not a signed token") from None
    if not isinstance(claims, dict):
        raise _refusal("it makes no claims")
    return cast("dict[str, Any]", claims)


def _chosen(named: object, keys: list[dict[str, Any]]) -> dict[str, Any]:
    """The key of that id; the only one, where a token names none (OpenID Connect Core 1.0, 10.1)."""
    fit = [key for key in keys if key.get("use", "sig") == "sig" and (named is None or key.get("kid") == named)]
    if len(fit) != 1:
        raise _UnknownKeyError
    return fit[0]


def _check(claims: dict[str, Any], header: Mapping[str, Any], granted: Granted, provider: Provider, nonce: str) -> None:
    from authlib.oidc.core import CodeIDToken  # start-up time

    options = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": provider.client_id},
        "sub": {"essential": True},
        "exp": {"essential": True},
        "nonce": {"essential": True, "value": nonce},
    }
    params = {"nonce": nonce, "client_id": provider.client_id, "access_token": granted.access_token}
    token: Any = CodeIDToken(claims, header, options, params)
    try:
        token.validate(leeway=_LEEWAY_SECONDS)
    except Exception as error:  # whatever the library finds wrong, and however it says so
        raise _refusal(str(error)) from None
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= 255 or "\0" in subject:
        raise _refusal("it names nobody")


def _refusal(reason: str) -> Unauthenticated:
    return Unauthenticated(f"The provider's ID token does not hold: {reason}. Begin again at /auth/oidc/login.")
