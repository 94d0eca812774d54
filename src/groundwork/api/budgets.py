"""`/api/v1/budget`: what somebody may spend on models and has spent, changing limits, and who spends most."""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from groundwork.access.scope import Caller
from groundwork.api.bodies import PROBLEMS, Text
from groundwork.api.state import AdminCaller, Needs, PlatformDep
from groundwork.budgets import Period

router = APIRouter(prefix="/api/v1/budget", tags=["budgets"], responses=PROBLEMS)

_USER = "A user's name, or `key:` and the name of a program's own key."
SpenderCaller = Annotated[Caller, Depends(Needs("ask", "search", "admin"))]
Dollars = Annotated[
    Decimal, Field(ge=0, max_digits=18, decimal_places=6, allow_inf_nan=False, description="US dollars.")
]


class BudgetBody(BaseModel):
    """What somebody may spend in a period; amounts are US dollars, exact."""

    user_id: str
    period: Period
    limit: str | None = Field(description="Null: no limit.")
    own_limit: bool = Field(description="Whether the limit is theirs alone; else it is everybody's, from the settings.")
    spent: str
    reserved: str = Field(description="For requests under way.")
    remaining: str | None = Field(description="What is left of the limit; null without one.")
    resets_at: str = Field(description="When the next period begins.")


class LimitRequest(BaseModel):
    """A limit of somebody's own."""

    model_config = ConfigDict(extra="forbid")

    user_id: Text = Field(min_length=1, max_length=200, description=_USER)
    period: Period
    limit: Dollars | None = Field(description="US dollars; null: no limit at all, whatever the settings say.")


class SpenderBody(BaseModel):
    """Somebody who has spent."""

    rank: int
    user_id: str
    spent: str
    reserved: str


class RankingBody(BaseModel):
    """Who has spent most in the period that runs."""

    period: Period
    begins: str
    resets_at: str
    items: list[SpenderBody]


@router.get("/user/{user_id:path}", response_model=BudgetBody, summary="Look at somebody's budget")
async def show(
    user_id: Text, platform: PlatformDep, caller: SpenderCaller, period: Annotated[Period, Query()] = "daily"
) -> dict[str, Any]:
    """What somebody has spent, reserved and left in this period; one's own, or anybody's for admins."""
    return await platform.budgets.limits.show(user_id, period, caller)


@router.post("/limit", response_model=BudgetBody, summary="Limit what somebody may spend")
async def set_limit(body: LimitRequest, platform: PlatformDep, caller: AdminCaller) -> dict[str, Any]:
    """Gives somebody a limit of their own, or none at all; holds for the next request to a model."""
    return await platform.budgets.limits.set(body.user_id, body.period, body.limit, caller)


@router.delete("/limit", response_model=BudgetBody, summary="Fall back to everybody's limit")
async def remove_limit(
    user_id: Annotated[Text, Query(min_length=1, max_length=200, description=_USER)],
    period: Annotated[Period, Query()],
    platform: PlatformDep,
    caller: AdminCaller,
) -> dict[str, Any]:
    """Takes somebody's own limit away: the one of the settings holds again."""
    return await platform.budgets.limits.remove(user_id, period, caller)


@router.get("/top-spenders/{period}", response_model=RankingBody, summary="See who spends most")
async def top_spenders(
    period: Period, platform: PlatformDep, caller: AdminCaller, limit: Annotated[int, Query(ge=1, le=500)] = 10
) -> dict[str, Any]:
    """Who has spent most in this period, the greatest first."""
    return await platform.budgets.limits.top(period, limit)
