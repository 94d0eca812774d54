"""What every request passes before any route: none of it depends on who asks.

From the outside in: headers on every answer, the caller's address, the Host, CORS, how many at once, for how long.
"""

import re
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.api.address import ClientAddress, requested_host
from groundwork.api.problems import problem
from groundwork.api.timing import TimeLimit
from groundwork.settings import HttpSettings
from groundwork.settings.addresses import is_loopback

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_YEAR = "max-age=31536000"
_NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"
_DOCS = re.compile(r"/(docs(/oauth2-redirect)?|redoc)")
_DOCS_CONTENT = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com; font-src https://fonts.gstatic.com; "
    "img-src data: https://fastapi.tiangolo.com https://cdn.redoc.ly; worker-src blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_CORS: dict[str, Any] = {
    "allow_methods": ("GET", "POST", "PUT", "PATCH", "DELETE"),
    "allow_headers": ("Authorization", "X-API-Key", "Content-Type"),
    "expose_headers": ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"),
}
_RETRY_SHED_SECONDS = "1"


def around(app: ASGIApp, http: HttpSettings) -> ASGIApp:
    """`app` behind every gate."""
    app = TimeLimit(app, http.request_timeout_seconds, http.body_timeout_seconds)
    app = RequestLimit(app, http.max_requests)
    if http.cors_origins:
        app = CORSMiddleware(app, http.cors_origins, **_CORS)
    app = HostCheck(app, http)
    app = ClientAddress(app, http.trusted_proxies)
    return SecurityHeaders(app, tls=http.tls_certificate is not None)


class SecurityHeaders:
    """ASGI middleware that keeps browsers from doing more with an answer than reading it."""

    def __init__(self, app: ASGIApp, tls: bool) -> None:
        self.app = app
        self.headers = _HEADERS | ({"Strict-Transport-Security": _YEAR} if tls else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; its answer gets the headers, the route's own Cache-Control and policy staying."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                headers.update(self.headers)
                headers.setdefault("Cache-Control", "no-store")
                content = _DOCS_CONTENT if _DOCS.fullmatch(scope["path"]) else _NO_CONTENT
                headers.setdefault("Content-Security-Policy", content)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class HostCheck:
    """ASGI middleware that answers 421 to a Host that is not ours, except to probes.

    A web page whose name was made to point at this machine (DNS rebinding) cannot read from the service then.
    """

    def __init__(self, app: ASGIApp, http: HttpSettings) -> None:
        self.app = app
        self.any = not http.allowed_hosts and not is_loopback(http.host)
        self.hosts = set(http.allowed_hosts) or {_as_in_a_header(http.host)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or refuses it."""
        if scope["type"] != "http" or self.any or _is_probe(scope) or self._is_ours(requested_host(scope)):
            await self.app(scope, receive, send)
            return
        detail = (
            "This service does not go by the Host of the request. Use a name it has, or add this one to "
            'GROUNDWORK_HTTP__ALLOWED_HOSTS, as in ["docs.example.org"].'
        )
        await problem(421, "Wrong host", detail, "refused")(scope, receive, send)

    def _is_ours(self, host: str | None) -> bool:
        return host is not None and (host in self.hosts or is_loopback(host) or host.endswith(".localhost"))


class RequestLimit:
    """ASGI middleware that takes `most` requests at once and answers 503 to one more, before its body is read.

    Probes and scrapes are always taken: a process that is busy is not one that is broken, and it should show that.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or refuses it."""
        if scope["type"] != "http" or _is_probe(scope) or scope["path"] == "/metrics":
            await self.app(scope, receive, send)
            return
        if self.running >= self.most:
            detail = (
                f"{self.most} requests are being served, and no more are taken at once. Try again in a moment; the "
                "operator can raise GROUNDWORK_HTTP__MAX_REQUESTS."
            )
            response = problem(503, "Busy", detail, "busy")
            response.headers["Retry-After"] = _RETRY_SHED_SECONDS
            await response(scope, receive, send)
            return
        self.running += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.running -= 1


def _is_probe(scope: Scope) -> bool:
    return scope["path"] == "/health" or scope["path"].startswith("/health/")


def _as_in_a_header(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower().removesuffix(".")
