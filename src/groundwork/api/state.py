"""How a route reaches the Platform, and learns who asks."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from groundwork.access.gate import demand
from groundwork.access.scope import SCOPES, Caller, Scope, readable
from groundwork.assembly import Platform
from groundwork.errors import NotFound, TooMany, Unavailable

_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="For programs.")
_TOKEN = HTTPBearer(auto_error=False, description="A token from /auth/token; for people.")


def get_platform(request: Request) -> Platform:
    """The Platform this application serves. Raises Unavailable while it is starting."""
    if not request.app.state.ready.is_set():
        raise Unavailable(
            "Groundwork is starting: the model and the lexical index are being loaded. Try again shortly."
        )
    return request.app.state.platform


PlatformDep = Annotated[Platform, Depends(get_platform)]


class Needs:
    """What a route needs of its caller. Every route declares one of these, or that it is `Public`.

    Identifies the caller, demands the scope (or one that does `instead`), and counts the request against the caller's limit.
    """

    def __init__(self, scope: Scope, *instead: Scope) -> None:
        self.scope: Scope = scope
        self.instead = instead

    async def __call__(
        self,
        request: Request,
        platform: PlatformDep,
        key: Annotated[str | None, Security(_KEY)] = None,
        token: Annotated[HTTPAuthorizationCredentials | None, Security(_TOKEN)] = None,
    ) -> Caller:
        """The caller. Raises Unauthenticated, Refused, TooMany, and Unavailable during maintenance."""
        if self.scope != "admin":
            await refuse_during_maintenance(platform)
        bearer = f"{token.scheme} {token.credentials}" if token is not None else None
        caller = await platform.access.gate.identify(key, bearer, address_of(request))
        await limit(request, platform, self.scope, caller.name)
        if caller.scopes.isdisjoint(self.instead):
            demand(caller, self.scope)
        return caller


class Public:
    """A route that anyone may use."""

    async def __call__(self) -> None:
        """Asks nothing."""


ANYBODY = Depends(Public())
SEARCH, ASK, INGEST, ADMIN = (Depends(Needs(scope)) for scope in SCOPES)
SearchCaller = Annotated[Caller, SEARCH]
AskCaller = Annotated[Caller, ASK]
IngestCaller = Annotated[Caller, INGEST]
AdminCaller = Annotated[Caller, ADMIN]


async def limit(request: Request, platform: Platform, kind: str, name: str) -> None:
    """Counts a request; the answer will say what is left. Raises TooMany."""
    allowance = await platform.access.limiter.hit(kind, name)
    if allowance is None:
        return
    request.state.limit_headers = allowance.headers()
    if not allowance.admitted:
        wait = allowance.reset_seconds
        raise TooMany(f"More than {allowance.limit} requests a minute: wait {wait} s.", retry_after=wait)


async def refuse_during_maintenance(platform: Platform) -> None:
    """Raises Unavailable while maintenance mode is on."""
    if (reason := await platform.access.maintenance.is_on()) is not None:
        raise Unavailable(f"Groundwork is being maintained: {reason} Try again later.", retry_after=60)


def address_of(request: Request) -> str:
    """Where a request comes from, as far as trusted proxies tell."""
    return getattr(request.state, "address", None) or (request.client.host if request.client else "unknown")


async def visible(platform: Platform, caller: Caller) -> set[str]:
    """Names of the collections `caller` may know of."""
    return set(await readable(platform.database, caller))


async def refuse_hidden(platform: Platform, caller: Caller, collection: str | None, what: str) -> None:
    """Raises NotFound for something of a collection the caller may not know of."""
    if collection is not None and collection not in await visible(platform, caller):
        raise NotFound(f"There is no {what} of that name or id.")
