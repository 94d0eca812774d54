"""`/api/v1/breakers`: the circuit breakers of language-model providers, and the operator's switch over each."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from groundwork.api.bodies import PROBLEMS, Text
from groundwork.api.state import ADMIN, AdminCaller, PlatformDep

router = APIRouter(prefix="/api/v1/breakers", tags=["models"], responses=PROBLEMS, dependencies=[ADMIN])


class BreakerBody(BaseModel):
    """A breaker."""

    provider: str
    state: Literal["closed", "open", "half_open"] | None = Field(
        description="What a request meets now; null where only the service knows."
    )
    switch: Literal["open", "closed", "auto"] = Field(
        description="What an operator decided; `auto`: it decides itself."
    )
    failures: int | None = Field(description="In a row, while closed.")
    since: str | None = Field(description="When the switch was set.")
    by: str | None = Field(description="Who set it.")


class BreakerPage(BaseModel):
    """The breakers of all providers; they fit on one page."""

    items: list[BreakerBody]


class BreakerChange(BaseModel):
    """Where the switch is to stand."""

    switch: Literal["open", "closed", "auto"] = Field(
        description="`open`: the provider is not asked. `closed`: it is asked, whatever happened. `auto`: as it goes."
    )


@router.get("", response_model=BreakerPage, summary="List circuit breakers")
async def list_breakers(platform: PlatformDep) -> dict[str, Any]:
    """Every provider's breaker: as all processes see it with Redis, else as this one does."""
    return await platform.breakers.page()


@router.put("/{provider}", response_model=BreakerBody, summary="Hold a breaker open or closed")
async def switch(provider: Text, body: BreakerChange, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Holds a breaker open or closed, or lets it decide for itself again; in every process within about a second."""
    changed = await platform.breakers.switch(provider, body.switch, caller.name)
    await platform.access.record(caller.deed("breaker_switched", provider, switch=body.switch))
    return changed
