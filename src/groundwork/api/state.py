"""How a route reaches the Platform."""

from typing import Annotated

from fastapi import Depends, Request

from groundwork.access.scope import ANYONE, readable
from groundwork.assembly import Platform
from groundwork.errors import NotFound, Unavailable


def get_platform(request: Request) -> Platform:
    """The Platform this application serves. Raises Unavailable while it is starting."""
    if not request.app.state.ready.is_set():
        raise Unavailable(
            "Groundwork is starting: the model and the lexical index are being loaded. Try again shortly."
        )
    return request.app.state.platform


PlatformDep = Annotated[Platform, Depends(get_platform)]


async def visible(platform: Platform) -> set[str]:
    """Names of the collections a caller over HTTP may know of."""
    return set(await readable(platform.database, ANYONE))


async def refuse_hidden(platform: Platform, collection: str | None, what: str) -> None:
    """Raises NotFound for something of a collection the caller may not know of."""
    if collection is not None and collection not in await visible(platform):
        raise NotFound(f"There is no {what} of that name or id.")
