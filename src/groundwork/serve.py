"""Runs the service: one ASGI application, one process, one event loop."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal

import uvicorn

from groundwork.access.strength import refuse_weak_secrets
from groundwork.api.app import Beside, create_app
from groundwork.api.certificate import Certificate
from groundwork.assembly import Platform, open_platform
from groundwork.errors import GroundworkError, Unavailable
from groundwork.settings import HttpSettings, Settings
from groundwork.settings.addresses import is_loopback
from groundwork.worker.run import work

Role = Literal["all", "api", "worker"]
_IN_CLEAR = (
    "Passwords and documents cross the network in clear: set GROUNDWORK_HTTP__TLS_CERTIFICATE and _TLS_KEY, or put a proxy "
    "before it and name that in GROUNDWORK_HTTP__TRUSTED_PROXIES."
)


def serve(settings: Settings, role: Role = "all") -> None:
    """Serves until told to stop: the API, the worker, or both in one process.

    Raises Refused for weak secrets outside development, Invalid when the TLS certificate cannot be used, Unavailable when the
    port is taken, and what `open_platform` raises.
    """
    _insist_on_secrets(settings)
    if role == "worker":
        _work_only(settings)
        return
    http = settings.http
    certificate = _certificate(http)
    listener = _listen(http)
    host, port = listener.getsockname()[:2]
    address = f"{'https' if certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    print(
        f"Data directory: {settings.data_dir}\n"
        f"Groundwork serves {address}, documented at {address}/docs. Ctrl-C stops it.",
        file=sys.stderr,
        flush=True,
    )
    if not is_loopback(http.host) and certificate is None and not http.trusted_proxies:
        print(_IN_CLEAR, file=sys.stderr, flush=True)
    _run(settings, listener, certificate, [work] if role == "all" else [])


def _insist_on_secrets(settings: Settings) -> None:
    if settings.environment == "production":
        refuse_weak_secrets(settings, os.environ, "GROUNDWORK_ENVIRONMENT is production")
    elif not is_loopback(settings.http.host):
        refuse_weak_secrets(settings, os.environ, f"the service listens beyond this machine, on {settings.http.host}")


def _work_only(settings: Settings) -> None:
    async def run() -> None:
        async with open_platform(settings) as platform:
            print(
                f"Data directory: {settings.data_dir}\nGroundwork runs jobs. Ctrl-C stops it.",
                file=sys.stderr,
                flush=True,
            )
            task = asyncio.ensure_future(work(platform))
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())


class _Server(uvicorn.Server):
    """A server that says so when it begins to stop, while the requests under way are still being answered."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)


def _run(
    settings: Settings, listener: socket.socket, certificate: Certificate | None, beside: Sequence[Beside]
) -> None:
    failures: list[GroundworkError] = []

    @asynccontextmanager
    async def platform() -> AsyncGenerator[Platform]:
        try:
            async with open_platform(settings) as opened:
                await _greet(opened)
                yield opened
        except GroundworkError as error:
            failures.append(error)
            raise

    def give_up(error: GroundworkError) -> None:
        failures.append(error)
        server.should_exit = True

    async def renew(_: Platform) -> None:
        if certificate:
            await certificate.watch()

    app = create_app(platform, settings.http, [*beside, renew], give_up)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        timeout_graceful_shutdown=10,
        server_header=False,
        proxy_headers=False,  # it would believe what any local process says; api.address knows whom to believe
    )
    config.load()
    config.ssl = certificate.context if certificate else None
    server = _Server(config, app.state.stopping.set)
    # A start that fails for a reason we know ends in that reason, not in uvicorn's trace of it.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not failures)
    try:
        with listener, suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    except SystemExit:
        if not failures:
            raise
    if failures:
        raise failures[0]


async def _greet(platform: Platform) -> None:
    """On the first start of all, for those who start it on their own machine: who may sign in, shown this once."""
    http = platform.settings.http
    if not is_loopback(http.host):
        if not (await platform.access.people.page(limit=1))["items"]:
            print("Nobody can sign in yet. Add an admin: groundwork users create-admin", file=sys.stderr, flush=True)
        return
    welcome = await platform.access.welcome()
    if welcome is not None:
        print(
            "This is the first start. Shown this once:\n"
            f"  name      {welcome.name}\n  password  {welcome.password}\n  API key   {welcome.key}",
            file=sys.stderr,
            flush=True,
        )


def _certificate(http: HttpSettings) -> Certificate | None:
    if http.tls_certificate is None or http.tls_key is None:
        return None
    return Certificate(http.tls_certificate, http.tls_key)


def _listen(http: HttpSettings) -> socket.socket:
    """The socket to serve on, taken before anything is started, so that a port in use is said at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            http.host, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise Unavailable(
            f"Groundwork cannot listen on {http.host}, port {http.port} ({_reason(error)}). Stop what uses the port, or "
            "choose another one (--port, GROUNDWORK_HTTP__PORT)."
        ) from error


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
