"""`/auth/oidc`: sign in with the organisation's OpenID Connect provider."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Cookie, Query, Request, Response
from fastapi.responses import RedirectResponse

from groundwork.access.federation.sign_on import Answer
from groundwork.access.federation.ticket import MINUTES
from groundwork.api.auth import TokenBody, token_body
from groundwork.api.bodies import PROBLEMS
from groundwork.api.state import ANYBODY, PlatformDep, address_of, limit
from groundwork.assembly import Platform

router = APIRouter(prefix="/auth/oidc", tags=["identity"], responses=PROBLEMS)

COOKIE = "groundwork_oidc"
_CALLBACK = "/callback"
_Given = Annotated[str | None, Query(max_length=4096)]


@router.get(
    "/login",
    status_code=302,
    response_class=RedirectResponse,
    summary="Sign in with the provider",
    dependencies=[ANYBODY],
)
async def login(request: Request, platform: PlatformDep) -> Response:
    """Sends the browser to the provider, which sends it back to `/auth/oidc/callback`. 404 where none is set."""
    await limit(request, platform, "login", f"address:{address_of(request)}")
    redirect_uri = _redirect_uri(request, platform)
    url, sealed = await platform.access.sign_on.begin(redirect_uri)
    response = RedirectResponse(url, 302)
    response.set_cookie(COOKIE, sealed, round(MINUTES * 60), **_kept(redirect_uri))
    return response


@router.get(_CALLBACK, response_model=TokenBody, summary="Come back from the provider", dependencies=[ANYBODY])
async def callback(
    request: Request,
    response: Response,
    platform: PlatformDep,
    state: _Given = None,
    code: _Given = None,
    error: _Given = None,
    sealed: Annotated[str | None, Cookie(alias=COOKIE, include_in_schema=False)] = None,
) -> dict[str, Any]:
    """A token for whoever the provider says it is, as `/auth/token` gives one; their account is made the first time."""
    address = address_of(request)
    await limit(request, platform, "login", f"address:{address}")
    who = await platform.access.sign_on.finish(Answer(state, code, error, sealed), address)
    response.delete_cookie(COOKIE, **_kept(_redirect_uri(request, platform)))
    response.headers["Cache-Control"] = "no-store"
    return await token_body(platform, who)


def _redirect_uri(request: Request, platform: Platform) -> str:
    base = platform.settings.http.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}{router.prefix}{_CALLBACK}"


def _kept(redirect_uri: str) -> dict[str, Any]:
    """How the browser keeps the cookie: for these two routes, out of reach of scripts."""
    parts = urlsplit(redirect_uri)
    path = parts.path.removesuffix(_CALLBACK)
    return {"path": path, "secure": parts.scheme == "https", "httponly": True, "samesite": "lax"}
