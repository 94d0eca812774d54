"""`/auth`: sign in, sign out, change one's password, and see who one is."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, Field

from groundwork.access.people.login import SignedIn
from groundwork.api.bodies import PROBLEMS
from groundwork.api.state import ANYBODY, PlatformDep, SearchCaller, address_of, limit
from groundwork.assembly import Platform
from groundwork.errors import Refused

router = APIRouter(prefix="/auth", tags=["identity"], responses=PROBLEMS)


class TokenBody(BaseModel):
    """A token to send as `Authorization: Bearer`."""

    access_token: str
    token_type: str
    expires_in: int = Field(description="Seconds.")


class CallerBody(BaseModel):
    """Who asks, and what they may do."""

    name: str
    user: str | None
    roles: list[str]
    scopes: list[str]
    collections: list[str] | None = Field(description="The only collections reached; null: no such limit.")


class PasswordRequest(BaseModel):
    """One's own password, the present one first."""

    current: str = Field(max_length=1024)
    new: str = Field(max_length=1024)


@router.post("/token", response_model=TokenBody, summary="Sign in", dependencies=[ANYBODY])
async def token(
    request: Request,
    response: Response,
    platform: PlatformDep,
    username: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=1024)],
) -> dict[str, Any]:
    """A token for name and password. After repeated failures account and address have to wait, longer each time."""
    address = address_of(request)
    await limit(request, platform, "login", f"address:{address}")
    who = await platform.access.login.sign_in(username, password, address)
    response.headers["Cache-Control"] = "no-store"
    return await token_body(platform, who)


@router.get("/me", response_model=CallerBody, summary="Who am I")
async def me(caller: SearchCaller) -> dict[str, Any]:
    """The caller as Groundwork knows them."""
    return {
        "name": caller.name,
        "user": caller.user,
        "roles": sorted(caller.roles),
        "scopes": sorted(caller.scopes),
        "collections": list(caller.only) if caller.only is not None else None,
    }


@router.post("/logout", status_code=204, summary="Sign out")
async def logout(platform: PlatformDep, caller: SearchCaller) -> None:
    """Ends the token this request came with."""
    if caller.session is None:
        raise Refused("Only a token can be ended so; a key ends with `groundwork keys revoke`.")
    await platform.access.tokens.revoke(caller.session, caller)


@router.post("/password", status_code=204, summary="Change one's password")
async def password(body: PasswordRequest, platform: PlatformDep, caller: SearchCaller) -> None:
    """Changes the caller's own password; every token given out before ends."""
    if caller.session is None or caller.user is None:
        raise Refused("Sign in with name and password to change the password; a key cannot do that.")
    await platform.access.login.sign_in(caller.user, body.current, caller.address)
    await platform.access.people.set_password(caller.user, body.new, caller)


async def token_body(platform: Platform, who: SignedIn) -> dict[str, Any]:
    """A token for somebody who has proved who they are, as `TokenBody`."""
    tokens = platform.access.tokens
    return {
        "access_token": await tokens.give(who.user, who.generation),
        "token_type": "bearer",
        "expires_in": round(tokens.minutes * 60),
    }
