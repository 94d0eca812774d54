"""Server-sent events: a comment keeps a quiet connection alive, and a client that leaves ends the work."""

import asyncio
from collections.abc import AsyncIterator

from pydantic_core import to_json
from starlette.responses import StreamingResponse

from groundwork.answer.ask import Event
from groundwork.errors import GroundworkError

KEEP_ALIVE_SECONDS = 10.0


def event_stream(events: AsyncIterator[Event], keep_alive: float = KEEP_ALIVE_SECONDS) -> StreamingResponse:
    """`events` as `text/event-stream`."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(events, keep_alive), media_type="text/event-stream", headers=headers)


async def _nothing() -> AsyncIterator[Event]:
    return
    yield


async def _lines(events: AsyncIterator[Event], keep_alive: float) -> AsyncIterator[bytes]:
    pending = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=keep_alive)
            if not done:
                yield b": keep-alive\n\n"
                continue
            try:
                event = pending.result()
            except GroundworkError as error:
                event, events = Event("error", {"kind": error.kind, "message": error.message}), _nothing()
            if event is None:
                return
            yield b"event: " + event.name.encode() + b"\ndata: " + to_json(event.data) + b"\n\n"
            pending = asyncio.ensure_future(anext(events, None))
    finally:
        pending.cancel()
