"""`/api/v1/models`: which language models write answers."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from groundwork.api.bodies import PROBLEMS
from groundwork.api.state import AskCaller, PlatformDep

router = APIRouter(prefix="/api/v1/models", tags=["ask"], responses=PROBLEMS)


class LanguageModelBody(BaseModel):
    """One model."""

    provider: str
    model: str
    tier: int = Field(description="Lower ones are asked first; 0 is private.")


class LanguageModelList(BaseModel):
    """The models there are."""

    items: list[LanguageModelBody] = Field(description="In the order in which they are asked; they fit on one page.")
    private: bool = Field(description="Privacy mode for everything: only models of tier 0 are asked.")


@router.get("", response_model=LanguageModelList, summary="List language models")
async def list_models(platform: PlatformDep, caller: AskCaller) -> LanguageModelList:
    """Every language model that may write an answer. None: answers are made of the documents' own sentences."""
    items = [
        LanguageModelBody(provider=each.settings.name, model=each.model.name, tier=each.settings.in_tier)
        for each in platform.models.listed
    ]
    return LanguageModelList(items=items, private=platform.settings.llms.private)
