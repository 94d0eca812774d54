"""`POST /api/v1/ask`: the whole answer, or its events as they come."""

from fastapi import APIRouter, Response
from pydantic_core import to_json

from groundwork import assembly
from groundwork.api.bodies import PROBLEMS, AnswerResponse, AskRequest
from groundwork.api.events import EVENT_STREAM, event_stream
from groundwork.api.state import AskCaller, PlatformDep

router = APIRouter(tags=["ask"])


@router.post(
    "/api/v1/ask", response_model=AnswerResponse, responses={**PROBLEMS, **EVENT_STREAM}, summary="Answer a question"
)
async def ask(body: AskRequest, platform: PlatformDep, caller: AskCaller) -> Response:
    """An answer from the documents, with a citation for each statement.

    With `stream: true` the answer comes as server-sent events: `passages`, then `delta` and `citation` as it is
    written, and at the end `done` with the whole body, or `error`.
    """
    request = assembly.Request(body.question, **body.narrowing(), caller=caller)
    if body.stream:
        return event_stream(await platform.stream(request))
    return Response(to_json((await platform.ask(request)).body()), media_type="application/json")
