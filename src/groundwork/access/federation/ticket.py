"""What a browser brings back from the provider, so that only the one that began a sign-on can end it."""

import secrets
from dataclasses import asdict, dataclass

from groundwork.access.credentials.tokens import Tokens
from groundwork.errors import Unauthenticated

MINUTES = 10.0
_PURPOSE = "oidc"
_AGAIN = "Begin again at /auth/oidc/login, in the same browser, and finish within ten minutes."


@dataclass(frozen=True)
class Ticket:
    """The secrets of one sign-on."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


def new_ticket(redirect_uri: str) -> Ticket:
    """A random one. 256 bits each; the verifier is as long as RFC 7636 asks for."""
    return Ticket(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), redirect_uri)


async def seal(tokens: Tokens, ticket: Ticket) -> str:
    """The ticket as a cookie holds it, signed, for ten minutes."""
    return await tokens.seal(_PURPOSE, asdict(ticket), MINUTES)


async def unseal(tokens: Tokens, sealed: str | None, state: str | None) -> Ticket:
    """The ticket in a cookie that belongs to `state`. Raises Unauthenticated."""
    if not sealed:
        raise Unauthenticated(f"The browser brought no cookie of this sign-in. {_AGAIN}")
    try:
        claims = await tokens.unseal(_PURPOSE, sealed)
    except Unauthenticated:
        raise Unauthenticated(f"The cookie of this sign-in does not hold or is too old. {_AGAIN}") from None
    ticket = Ticket(*(str(claims.get(name)) for name in ("state", "nonce", "verifier", "redirect_uri")))
    if state is None or not secrets.compare_digest(state.encode(), ticket.state.encode()):
        raise Unauthenticated(f"The answer is to another sign-in than the one this browser began. {_AGAIN}")
    return ticket
