"""`POST /api/v1/ask`: the whole answer, or its events as they come."""

from fastapi import APIRouter, Response
from pydantic_core import to_json

from groundwork import assembly
from groundwork.answer.dialogue import Dialogue
from groundwork.api.answers import AnswerResponse, AskRequest
from groundwork.api.bodies import PROBLEMS
from groundwork.api.events import EVENT_STREAM, event_stream
from groundwork.api.state import AskCaller, PlatformDep

router = APIRouter(tags=["ask"])


@router.post(
    "/api/v1/ask", response_model=AnswerResponse, responses={**PROBLEMS, **EVENT_STREAM}, summary="Answer a question"
)
async def ask(body: AskRequest, platform: PlatformDep, caller: AskCaller) -> Response:
    """An answer from the documents, with a citation for each statement.

    With `stream: true` the answer comes as server-sent events: `passages`, then `delta` and `citation` as it is
    written, and at the end `done` with the whole body, or `error`, which keeps what was said until then.
    """
    request = assembly.Request(body.question, **body.narrowing(), caller=caller)
    dialogue = Dialogue(caller, body.session_id, private=body.private, generate=body.generate)
    if body.stream:
        return event_stream(await platform.stream(request, dialogue))
    return Response(to_json(await platform.ask(request, dialogue)), media_type="application/json")
