"""The largest body a request may have, enforced while it comes in, whatever its headers say."""

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.api.problems import problem

_UPLOADS = "/api/v1/documents"
_MOST_HELD = 2 << 20
"""Bytes of a body that is held in memory, as all are but uploads: those go to a temporary file while they come in."""


class BodyLimit:
    """ASGI middleware that answers 413 once a body passes `upload` bytes, or 2 MiB where no document is uploaded."""

    def __init__(self, app: ASGIApp, upload: int) -> None:
        self.app = app
        self.upload = upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, counting its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_upload = scope["path"] == _UPLOADS and _header(scope, b"content-type").startswith(b"multipart/form-data")
        most = self.upload if is_upload else _MOST_HELD
        if _declared_length(scope) > most:
            await self._refuse(most, scope, receive, send)
            return
        taken = 0
        started = exceeded = refused = False

        async def counted() -> Message:
            nonlocal taken, exceeded
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                exceeded = True
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started, refused
            if exceeded and not started:  # the framework answered for itself what it could not read
                started = refused = True
                await self._refuse(most, scope, receive, send)
            elif not refused:
                started = True
                await send(message)

        try:
            await self.app(scope, counted, noted)
        except _TooLarge:
            if not started:
                await self._refuse(most, scope, receive, send)

    async def _refuse(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        # A client that is still sending sees a reset instead of the answer, so the rest is read, up to a point.
        await _drain(receive)
        raised = ", or raise GROUNDWORK_HTTP__MAX_UPLOAD_MB" if most == self.upload else ""
        detail = f"The body is larger than {most >> 20} MiB. Send less{raised}."
        response = problem(413, "Body too large", detail, "invalid")
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


class LimitHeaders:
    """ASGI middleware that tells on every answer what is left of the caller's limit."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, and adds what the route noted of the limit to the answer's headers."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                left: dict[str, str] = scope.get("state", {}).get("limit_headers", {})
                named = [(name.lower().encode(), value.encode()) for name, value in left.items()]
                message = {**message, "headers": [*message.get("headers", []), *named]}
            await send(message)

        await self.app(scope, receive, told if scope["type"] == "http" else send)


_DRAINED_BYTES = 256 << 20
_DRAINED_SECONDS = 10.0


async def _drain(receive: Receive) -> None:
    """Reads and forgets what is left of a body."""
    taken = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAINED_SECONDS):
            while taken < _DRAINED_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return


class _TooLarge(Exception):
    pass


def _declared_length(scope: Scope) -> int:
    length = _header(scope, b"content-length")
    return int(length) if length.isdigit() else 0


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")
