"""Server-sent events: a comment keeps a quiet connection alive, and a client that leaves ends the work."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from pydantic_core import to_json
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from groundwork.answer.events import Event
from groundwork.errors import GroundworkError, Unavailable

KEEP_ALIVE_SECONDS = 10.0
STOPPING_SECONDS = 2.0
"""How long a stream may go on after the service was asked to stop: enough for an answer that is nearly there."""


_CLOSING: "set[asyncio.Task[None]]" = set()

EVENT_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
"""How the OpenAPI document describes such an answer."""


Write = Callable[[Event], bytes]
"""One event as it goes over the wire, with the empty line behind it."""


def named(event: Event) -> bytes:
    """Its name, and its data as JSON."""
    return b"event: " + event.name.encode() + b"\ndata: " + to_json(event.data) + b"\n\n"


def event_stream(
    events: AsyncIterator[Event], keep_alive: float = KEEP_ALIVE_SECONDS, line: Write = named
) -> StreamingResponse:
    """`events` as `text/event-stream`; a last `error` says so when the service stops before their end."""
    return _EventStream(events, keep_alive, line)


class _EventStream(StreamingResponse):
    def __init__(self, events: AsyncIterator[Event], keep_alive: float, line: Write) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__((), media_type="text/event-stream", headers=headers)
        self._events = events
        self._keep_alive = keep_alive
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.body_iterator = _lines(self._events, self._keep_alive, self._line, scope["app"].state.stopping)
        await super().__call__(scope, receive, send)


async def _lines(
    events: AsyncIterator[Event], keep_alive: float, line: Write, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    stopped = asyncio.ensure_future(_stopped(stopping))
    said: list[str] = []
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
                told: dict[str, Any] = {"kind": error.kind, "message": error.message}
                yield line(Event("error", told | ({"answer": "".join(said), "route": []} if said else {})))
                return
            if event is None:
                return
            if event.name == "delta":
                said.append(event.data.get("text", ""))
            yield line(event)
            pending = asyncio.ensure_future(anext(events, None))
    finally:
        stopped.cancel()
        closing = asyncio.create_task(_close(pending, events))
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)


async def _close(pending: "asyncio.Future[Event | None]", events: AsyncIterator[Event]) -> None:
    """Ends the work behind a stream, in a task of its own: the one that served the client may be cancelled again."""
    pending.cancel()
    await asyncio.wait({pending})
    if not pending.cancelled() and pending.exception() is not None:
        return
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


async def _stopped(stopping: asyncio.Event) -> None:
    await stopping.wait()
    await asyncio.sleep(STOPPING_SECONDS)


def _cut_off() -> Event:
    raise Unavailable("Groundwork is stopping. Send the request again when it is back.")
