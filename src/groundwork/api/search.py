"""`POST /api/v1/search`, also as `/api/search`."""

from fastapi import APIRouter, Response
from pydantic_core import to_json

from groundwork import assembly
from groundwork.api.bodies import PROBLEMS, SearchRequest, SearchResponse
from groundwork.api.state import PlatformDep, SearchCaller

router = APIRouter(tags=["search"])


@router.post("/api/v1/search", response_model=SearchResponse, responses=PROBLEMS, summary="Find passages")
@router.post("/api/search", response_model=SearchResponse, responses=PROBLEMS, include_in_schema=False)
async def search(body: SearchRequest, platform: PlatformDep, caller: SearchCaller) -> Response:
    """Passages for a question, best first, each with its scores and the span of text it is."""
    found = await platform.search(
        assembly.Request(
            body.query, body.limit, body.mode, **body.narrowing(), caller=caller, rerank=None if body.rerank else False
        )
    )
    return Response(to_json(found.body()), media_type="application/json")
