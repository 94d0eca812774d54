"""The OpenAI protocol: chat completions over the documents, with the same citations in a field more; models; embeddings.

A model is a collection, or `groundwork` for all that the caller may read. The last message is the question; those before
it are a conversation that the calling program keeps.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Annotated, Any
from uuid import uuid4

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic_core import to_json

from groundwork import assembly
from groundwork.access.scope import Caller
from groundwork.answer.dialogue import Dialogue
from groundwork.answer.events import Event
from groundwork.api.bodies import PROBLEMS, Text
from groundwork.api.events import EVENT_STREAM, event_stream
from groundwork.api.openai_bodies import (
    ALL,
    ChatCompletion,
    ChatRequest,
    EmbeddingList,
    EmbeddingRequest,
    ModelBody,
    ModelList,
    annotations,
    usage_of,
)
from groundwork.api.problems import STATUS, explain, problem
from groundwork.api.state import AskCaller, Needs, PlatformDep, SearchCaller, visible
from groundwork.errors import GroundworkError, Invalid, NotFound

_CODES = {
    "not_found": "model_not_found",
    "unauthenticated": "invalid_api_key",
    "over_budget": "insufficient_quota",
    "too_many": "rate_limit_exceeded",
}
ModelCaller = Annotated[Caller, Depends(Needs("search", "ask"))]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


_CHUNK = "chat.completion.chunk"
_OURS = ("citations", "mode", "reason")
"""What an answer has that the protocol does not know."""


class _Route(APIRoute):
    """A route whose refusals look as OpenAI's do."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def translated(request: Request) -> Response:
            try:
                return await handle(request)
            except GroundworkError as error:
                return _refusal(error)
            except RequestValidationError as error:
                return _refusal(Invalid(explain(error)))

        return translated


router = APIRouter(prefix="/v1", tags=["openai"], route_class=_Route, responses=PROBLEMS)


@router.post(
    "/chat/completions", response_model=ChatCompletion, responses=EVENT_STREAM, summary="Answer as OpenAI's chat does"
)
async def chat(body: ChatRequest, platform: PlatformDep, caller: AskCaller) -> Response:
    """An answer from a collection, or from all; with `stream: true` as chunks."""
    collections = None if body.model == ALL else [body.model]
    request = assembly.Request(body.question(), collections=collections, caller=caller)
    dialogue = Dialogue(caller, None, body.history(), body.private, body.instructions())
    head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": body.model}
    if body.stream:
        told = await platform.stream(request, dialogue)
        with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        return event_stream(_chunks(told, head, with_usage), line=_line)
    answer = await platform.ask(request, dialogue)
    message = {
        "role": "assistant",
        "content": answer["answer"],
        "refusal": None,
        "annotations": annotations(answer["citations"]),
    }
    completion = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": usage_of(answer),
        **{name: answer[name] for name in _OURS},
    }
    return Response(to_json(completion), media_type="application/json")


@router.get("/models", response_model=ModelList, summary="Collections as models")
async def models(platform: PlatformDep, caller: ModelCaller) -> dict[str, Any]:
    """`groundwork`, and each collection the caller may read."""
    names = [ALL, *sorted((await visible(platform, caller)) - {ALL})]
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0} for name in names]}


@router.get("/models/{model}", response_model=ModelBody, summary="One collection as a model")
async def model(model: Text, platform: PlatformDep, caller: ModelCaller) -> dict[str, Any]:
    """The model of that name."""
    if model != ALL and model not in await visible(platform, caller):
        raise NotFound(f"There is no model {model!r}; /v1/models lists those there are.")
    return {"id": model, "object": "model", "created": 0}


@router.post("/embeddings", response_model=EmbeddingList, summary="Texts as vectors")
async def embeddings(body: EmbeddingRequest, platform: PlatformDep, caller: SearchCaller) -> Response:
    """The vectors that the live embedding space makes of the texts, as it does of passages."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    embedder = platform.embedder
    if not all(text.strip() for text in texts):
        raise Invalid("A text is empty. Leave it out, or say what it is to mean.")
    if body.dimensions not in (None, embedder.model.dimension):
        raise Invalid(f"{embedder.model.name} makes vectors of {embedder.model.dimension} numbers; ask for no other.")
    vectors = await asyncio.to_thread(embedder.embed_passages, texts)
    tokens = sum(embedder.count_tokens(text) for text in texts)
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector, body.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer = {"object": "list", "data": data, "model": embedder.model.name, "usage": usage}
    return Response(to_json(answer), media_type="application/json")


def _written(vector: Any, encoding: str | None) -> Any:
    numbers = np.asarray(vector, dtype="<f4")
    return base64.b64encode(numbers.tobytes()).decode() if encoding == "base64" else numbers.tolist()


async def _chunks(told: AsyncGenerator[Event], head: dict[str, Any], with_usage: bool) -> AsyncIterator[Event]:
    """The events of an answer as chunks; citations come with the last one that has a choice."""

    def chunk(delta: dict[str, Any], ended: str | None = None, **more: Any) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": ended, "logprobs": None}
        return Event("delta", {**head, "object": _CHUNK, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    async with aclosing(told) as events:
        async for event in events:
            if event.name == "delta":
                yield chunk({"content": event.data["text"]})
            elif event.name == "error":
                cited = event.data.get("citations")
                if cited:  # what was said until then rests on these
                    yield chunk({"annotations": annotations(cited)}, citations=cited)
                yield event
            elif event.name == "done":
                body = event.data
                extra = {name: body[name] for name in _OURS}
                yield chunk({"annotations": annotations(body["citations"])}, "stop", **extra)
                if with_usage:
                    yield Event("delta", {**head, "object": _CHUNK, "choices": [], "usage": usage_of(body)})
                yield Event("done", {})


def _line(event: Event) -> bytes:
    if event.name == "done":
        return b"data: [DONE]\n\n"
    data = _error(event.data["message"], event.data["kind"]) if event.name == "error" else event.data
    return b"data: " + to_json(data) + b"\n\n"


def _refusal(error: GroundworkError) -> JSONResponse:
    """A problem document as everywhere, with OpenAI's words in a member more."""
    _, title = STATUS[error.kind]
    status = 400 if error.kind == "invalid" else STATUS[error.kind][0]
    response = problem(status, title, error.message, error.kind, **_error(error.message, error.kind))
    if "retry_after" in error.details:
        response.headers["Retry-After"] = str(error.details["retry_after"])
    return response


def _error(message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": _CODES.get(kind, kind)}}
