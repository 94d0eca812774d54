"""Server-sent events: a comment keeps a quiet connection alive, and a client that leaves ends the work."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pydantic_core import to_json
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from groundwork.answer.ask import Event
from groundwork.errors import GroundworkError, Unavailable

KEEP_ALIVE_SECONDS = 10.0
STOPPING_SECONDS = 2.0
"""How long a stream may go on after the service was asked to stop: enough for an answer that is nearly there."""


EVENT_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
"""How the OpenAPI document describes such an answer."""


def event_stream(events: AsyncIterator[Event], keep_alive: float = KEEP_ALIVE_SECONDS) -> StreamingResponse:
    """`events` as `text/event-stream`; a last `error` says so when the service stops before their end."""
    return _EventStream(events, keep_alive)


class _EventStream(StreamingResponse):
    def __init__(self, events: AsyncIterator[Event], keep_alive: float) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__((), media_type="text/event-stream", headers=headers)
        self._events = events
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.body_iterator = _lines(self._events, self._keep_alive, scope["app"].state.stopping)
        await super().__call__(scope, receive, send)


async def _lines(events: AsyncIterator[Event], keep_alive: float, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    stopped = asyncio.ensure_future(_stopped(stopping))
    pending = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            await asyncio.wait({pending, stopped}, timeout=keep_alive, return_when=asyncio.FIRST_COMPLETED)
            if not pending.done() and not stopped.done():
                yield b": keep-alive\n\n"
                continue
            try:
                event = pending.result() if pending.done() else _cut_off()
            except GroundworkError as error:
                yield _line(Event("error", {"kind": error.kind, "message": error.message}))
                return
            if event is None:
                return
            yield _line(event)
            pending = asyncio.ensure_future(anext(events, None))
    finally:
        pending.cancel()
        stopped.cancel()


async def _stopped(stopping: asyncio.Event) -> None:
    await stopping.wait()
    await asyncio.sleep(STOPPING_SECONDS)


def _cut_off() -> Event:
    raise Unavailable("Groundwork is stopping. Send the request again when it is back.")


def _line(event: Event) -> bytes:
    return b"event: " + event.name.encode() + b"\ndata: " + to_json(event.data) + b"\n\n"
