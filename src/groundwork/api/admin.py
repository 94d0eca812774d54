"""`/admin`: people, keys, the audit log, signing secrets, maintenance mode, and figures."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from groundwork.access.audit import log
from groundwork.access.credentials.keys import NewKey
from groundwork.access.people.users import Role
from groundwork.access.scope import Scope
from groundwork.api.bodies import CONFLICT, PROBLEMS, Text
from groundwork.api.state import ADMIN, AdminCaller, PlatformDep
from groundwork.health.stats import stats

router = APIRouter(prefix="/admin", tags=["administration"], responses={**PROBLEMS, **CONFLICT}, dependencies=[ADMIN])

Limit = Annotated[int, Query(ge=1, le=500)]


class UserBody(BaseModel):
    """Somebody."""

    id: str
    name: str
    role: str
    status: str = Field(description="active, disabled, or locked after failed logins.")
    created_at: str
    last_login_at: str | None
    password: str | None = Field(None, description="Only in the answer that made it.")


class UserPage(BaseModel):
    """Some people."""

    items: list[UserBody]
    next_cursor: str | None


class UserRequest(BaseModel):
    """Somebody new."""

    name: Text = Field(max_length=100)
    role: Role = "member"
    password: str | None = Field(None, max_length=1024, description="Left out, one is made and answered.")


class UserChange(BaseModel):
    """What is to be different; what is left out stays."""

    role: Role | None = None
    status: Literal["active", "disabled"] | None = None
    unlock: bool = False


class KeyBody(BaseModel):
    """An API key, never the key itself but when it is made."""

    id: str
    name: str
    prefix: str
    user: str | None
    scopes: list[str]
    collections: list[str] | None
    status: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    key: str | None = Field(None, description="Only in the answer that made it.")


class KeyPage(BaseModel):
    """Some keys."""

    items: list[KeyBody]
    next_cursor: str | None


class KeyRequest(BaseModel):
    """A new key."""

    name: Text = Field(max_length=100)
    scopes: list[Scope] = Field(min_length=1)
    user: Text | None = Field(None, description="Whose rights it has; left out, a program's own.")
    collections: list[Text] | None = Field(None, description="The only collections it reaches.")
    expires_at: datetime | None = None


class EntryBody(BaseModel):
    """An entry of the audit log."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    address: str
    details: dict[str, Any]


class EntryPage(BaseModel):
    """Some entries, newest first."""

    items: list[EntryBody]
    next_cursor: int | None


class MaintenanceRequest(BaseModel):
    """Whether maintenance mode is to be on."""

    on: bool
    reason: Text = Field("", max_length=500)


class MaintenanceBody(BaseModel):
    """Maintenance mode."""

    on: bool
    since: str | None
    reason: str | None
    by: str | None


class FindingBody(BaseModel):
    """Something the security report looked at."""

    name: str
    severity: Literal["ok", "warning", "critical"]
    count: int
    what: str = Field(description="What is counted.")
    which: list[str] = Field(description="The first of them.")
    next: str = Field(description="What to do about it.")


class SecurityBody(BaseModel):
    """The security report."""

    checked_at: str
    severity: Literal["ok", "warning", "critical"] = Field(description="The worst of all findings.")
    signing_secret_age_days: float | None
    certificate_days_left: float | None
    findings: list[FindingBody]


class SpentBody(BaseModel):
    """What requests to models cost, in US dollars."""

    today: str = Field(description="Since midnight, UTC.")
    this_month: str


class StatsBody(BaseModel):
    """How much there is of everything."""

    collections: int
    documents: dict[str, int] = Field(description="By status.")
    versions: int = Field(description="Texts of documents that are kept.")
    chunks: int
    users: dict[str, int] = Field(description="By status.")
    keys: dict[str, int] = Field(description="By status.")
    jobs: dict[str, int] = Field(description="By state; states nothing is in are left out.")
    sessions: int = Field(description="Conversations.")
    turns: int = Field(description="Questions asked in them.")
    spent_usd: SpentBody
    database_bytes: int
    originals_bytes: int = Field(description="Uploaded files.")


@router.get("/users", response_model=UserPage, summary="List people")
async def list_users(
    platform: PlatformDep, cursor: Annotated[Text | None, Query()] = None, limit: Limit = 100
) -> dict[str, Any]:
    """People by name, a page at a time."""
    return await platform.access.people.page(cursor, limit)


@router.post("/users", status_code=201, response_model=UserBody, summary="Add somebody")
async def add_user(body: UserRequest, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Adds somebody."""
    return await platform.access.people.add(body.name, body.role, body.password, caller)


@router.get("/users/{name}", response_model=UserBody, summary="Look at somebody")
async def show_user(name: Text, platform: PlatformDep) -> dict[str, Any]:
    """One of them."""
    return await platform.access.people.show(name)


@router.patch("/users/{name}", response_model=UserBody, summary="Change role or status")
async def change_user(name: Text, change: UserChange, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Changes somebody; tokens they had end at once."""
    people = platform.access.people
    if change.role is not None:
        await people.set_role(name, change.role, caller)
    if change.status is not None:
        await people.set_status(name, change.status, caller)
    if change.unlock:
        await people.unlock(name, caller)
    return await people.show(name)


@router.post("/users/{name}/reset-password", response_model=UserBody, summary="Give somebody a new password")
async def reset_password(name: Text, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Makes a new password, which only this answer holds, and ends their logins."""
    return await platform.access.people.set_password(name, None, caller)


@router.delete("/users/{name}", response_model=UserBody, summary="Erase somebody")
async def erase_user(name: Text, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Removes somebody with their keys, grants and conversations; answers who it was. What they spent stays in the sums."""
    return await platform.access.people.erase(name, caller)


@router.get("/keys", response_model=KeyPage, summary="List keys")
async def list_keys(
    platform: PlatformDep,
    user: Annotated[Text | None, Query(description="Only of this user.")] = None,
    cursor: Annotated[UUID | None, Query()] = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Keys in the order they were made, a page at a time."""
    return await platform.access.keys.page(user, cursor, limit)


@router.post("/keys", status_code=201, response_model=KeyBody, summary="Make a key")
async def create_key(body: KeyRequest, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Makes a key; `key` is shown this once."""
    wanted = NewKey(body.name, body.scopes, body.user, body.collections, body.expires_at)
    return await platform.access.keys.create(wanted, caller)


@router.delete("/keys/{key}", response_model=KeyBody, summary="Revoke a key")
async def revoke_key(key: Text, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Ends a key, named by id, prefix or name."""
    return await platform.access.keys.revoke(key, caller)


@router.get("/audit", response_model=EntryPage, summary="Read the audit log")
async def audit(
    platform: PlatformDep,
    cursor: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    action: Annotated[Text | None, Query()] = None,
    actor: Annotated[Text | None, Query()] = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Who did what, when and from where; newest first, a page at a time."""
    return await log.page(platform.database, cursor, action, actor, limit)


@router.get("/secrets", summary="List signing secrets")
async def list_secrets(platform: PlatformDep) -> dict[str, Any]:
    """The secrets that tokens are signed with, by id and age; never the secrets themselves."""
    return await platform.access.tokens.list()


@router.post("/secrets/rotate", summary="Sign with a new secret")
async def rotate_secret(platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Signs with a new secret from now on. Nobody is signed out: the old one holds until its tokens have expired."""
    return await platform.access.tokens.rotate(caller)


@router.get("/maintenance", response_model=MaintenanceBody, summary="Whether maintenance mode is on")
async def maintenance(platform: PlatformDep) -> dict[str, Any]:
    """Maintenance mode."""
    return await platform.access.maintenance.state()


@router.put("/maintenance", response_model=MaintenanceBody, summary="Turn maintenance mode on or off")
async def set_maintenance(body: MaintenanceRequest, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """While it is on, everything but health, metrics and administration answers 503. It outlives a restart."""
    return await platform.access.maintenance.switch(body.on, body.reason, caller)


@router.get("/security", response_model=SecurityBody, summary="Read the security report")
async def security(platform: PlatformDep) -> dict[str, Any]:
    """Logins, accounts, keys, secrets, the certificate and the audit log: what is a matter, and what to do about it."""
    return await platform.access.report.run()


@router.get("/stats", response_model=StatsBody, summary="Count everything")
async def count_everything(platform: PlatformDep) -> dict[str, Any]:
    """Counts, sizes in bytes, and what models cost."""
    return await stats(platform.database, platform.jobs, platform.uploads.originals)
