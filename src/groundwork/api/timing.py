"""How long a request may take: its body to come in, and its answer to begin."""

import asyncio
import re

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.api.problems import problem

log = structlog.get_logger()

LEAST_BYTES_PER_SECOND = 1024
_LONG = (
    ("GET", re.compile(r"/api/v1/collections/[^/]+/export")),
    ("DELETE", re.compile(r"/api/v1/collections/[^/]+")),
    ("POST", re.compile(r"/api/v1/ask|/v1/chat/completions")),
)
"""What works for as long as there is something to do: writing a whole collection, removing one, and an answer that models
write, each of which has time-outs of its own."""


class TimeLimit:
    """ASGI middleware that gives up a request whose body stands still (408) or whose answer does not begin (503).

    An answer that has begun, such as a stream of events, takes as long as it takes.
    """

    def __init__(self, app: ASGIApp, request_seconds: float, body_seconds: float) -> None:
        self.app = app
        self.request_seconds = request_seconds
        self.body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; when its time is over, answers for it and cancels what was done for it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        timed = _Timed(receive, send, None if _is_long(scope) else self.request_seconds, self.body_seconds)
        work = asyncio.ensure_future(_run(self.app, scope, timed))
        try:
            await asyncio.wait({work, timed.over}, return_when=asyncio.FIRST_COMPLETED)
            if not timed.over.done():
                work.result()
                return
            log.warning("request gave up", path=scope["path"], status=timed.over.result())
            await self._refusal(timed.over.result())(scope, receive, send)
            # Its place counts as taken until the work has really ended, which a database that hangs may delay.
            work.cancel()
            await asyncio.wait({work})
            _ = work.cancelled() or work.exception()
        except asyncio.CancelledError:
            if timed.has_begun or not _is_stopping(scope):
                raise
            await _STOPPING(scope, receive, send)
        finally:
            timed.end()
            work.cancel()

    def _refusal(self, status: int) -> Response:
        if status == 503:
            detail = (
                f"Nothing could be answered within {self.request_seconds:g} s, and the request was given up. Try again later; "
                "the operator can raise GROUNDWORK_HTTP__REQUEST_TIMEOUT_SECONDS."
            )
            return problem(503, "Took too long", detail, "unavailable")
        detail = (
            "The body did not come in, or came in too slowly (GROUNDWORK_HTTP__BODY_TIMEOUT_SECONDS is "
            f"{self.body_seconds:g}). Send it again over a connection that keeps up."
        )
        response = problem(408, "Body too slow", detail, "invalid")
        response.headers["Connection"] = "close"
        return response


async def _run(app: ASGIApp, scope: Scope, timed: "_Timed") -> None:
    await app(scope, timed.receive, timed.send)


class _Timed:
    """A request's two channels, and a clock that runs while either may be waited for too long."""

    def __init__(self, receive: Receive, send: Send, request_seconds: float | None, body_seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._request_seconds = request_seconds
        self._body_seconds = body_seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._whole = self._begun = False
        self._taken = 0
        self._waited = 0.0
        self.over: asyncio.Future[int] = self._loop.create_future()
        """Done with the status to answer once the time is over; from then on the work is not listened to."""
        self._allow(request_seconds, 503)

    async def receive(self) -> Message:
        """The next message, under the body's limit until the body is whole."""
        if self._whole or self._begun:
            return await self._receive()
        asked = self._loop.time()
        behind = self._waited - self._taken / LEAST_BYTES_PER_SECOND
        self._allow(min(self._body_seconds, max(0.0, self._body_seconds - behind)), 408)
        message = await self._receive()
        self._waited += self._loop.time() - asked
        self._taken += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if not self._begun:
            self._allow(self._request_seconds, 503)
        return message

    async def send(self, message: Message) -> None:
        """Passes on what is answered in time; the clock stops when the answer begins."""
        if self.over.done():
            return
        self._begun = True
        self._allow(None, 0)
        await self._send(message)

    @property
    def has_begun(self) -> bool:
        """Whether something has been answered."""
        return self._begun

    def end(self) -> None:
        """Stops the clock."""
        self._allow(None, 0)
        self.over.cancel()

    def _allow(self, seconds: float | None, status: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._loop.call_later(seconds, self._expire, status)

    def _expire(self, status: int) -> None:
        if not self.over.done():
            self.over.set_result(status)


_STOPPING = problem(503, "Stopping", "Groundwork is stopping. Send the request again when it is back.", "unavailable")


def _is_stopping(scope: Scope) -> bool:
    return "app" in scope and scope["app"].state.stopping.is_set()


def _is_long(scope: Scope) -> bool:
    return any(scope["method"] == method and path.fullmatch(scope["path"]) for method, path in _LONG)
