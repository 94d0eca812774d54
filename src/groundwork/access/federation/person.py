"""Who a provider says somebody is, and whether such a person may sign in here."""

from dataclasses import dataclass
from typing import Any, cast

from groundwork.access.names import plain_name
from groundwork.errors import Invalid, Refused
from groundwork.settings import AuthSettings, RoleName

_BY_RIGHTS: tuple[RoleName, ...] = ("admin", "reviewer", "member")


@dataclass(frozen=True)
class Person:
    """Somebody the provider has vouched for, with an e-mail address that is theirs."""

    issuer: str
    subject: str
    """Who they are to the provider, whatever their name becomes."""
    name: str
    """What an account of theirs is called, as names are kept."""
    email: str
    role: RoleName | None
    """The role their claims stand for; None where they stand for none."""


def person_of(claims: dict[str, Any], settings: AuthSettings) -> Person:
    """The person in claims that were proved. Raises Refused for one who may not sign in."""
    email = _verified_email(claims, settings)
    return Person(claims["iss"], claims["sub"], _name(claims, settings), email, _role(claims, settings))


def _verified_email(claims: dict[str, Any], settings: AuthSettings) -> str:
    email, verified = claims.get("email"), claims.get("email_verified")
    if not isinstance(email, str) or not (verified is True or verified == "true"):  # some providers send a text
        raise Refused(
            "The sign-in provider does not vouch for your e-mail address (`email` and `email_verified`). Confirm it there, "
            "or ask who runs the provider; then sign in again."
        )
    domains = settings.oidc_allowed_domains
    domain = email.rpartition("@")[2].casefold()
    if domains and domain not in domains:
        raise Refused("E-mail addresses of your domain may not sign in here. Ask an admin if they should.")
    return email


def _name(claims: dict[str, Any], settings: AuthSettings) -> str:
    claim = settings.oidc_name_claim
    said = claims.get(claim)
    try:
        if not isinstance(said, str):
            raise Invalid("")
        return plain_name(said)
    except Invalid:
        raise Refused(
            f"The sign-in provider gives no usable name in its claim {claim!r}: 1 to 100 characters, no space, slash or "
            "colon. Ask an admin to set GROUNDWORK_AUTH__OIDC_NAME_CLAIM to another."
        ) from None


def _role(claims: dict[str, Any], settings: AuthSettings) -> RoleName | None:
    """Of several, the one with the most rights."""
    said: Any = claims.get(settings.oidc_role_claim) if settings.oidc_role_claim else None
    values = cast("list[Any]", said) if isinstance(said, list) else [said]
    found = {settings.oidc_roles.get(value) for value in values if isinstance(value, str)}
    return next((role for role in _BY_RIGHTS if role in found), None)
