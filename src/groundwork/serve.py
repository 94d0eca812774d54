"""Runs the service: one ASGI application, one process, one event loop."""

import asyncio
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal

import uvicorn

from groundwork.api.app import Beside, create_app
from groundwork.assembly import Platform, open_platform
from groundwork.errors import GroundworkError, Refused, Unavailable
from groundwork.settings import HttpSettings, Settings
from groundwork.worker.run import work

Role = Literal["all", "api", "worker"]


def serve(settings: Settings, role: Role = "all") -> None:
    """Serves until told to stop: the API, the worker, or both in one process.

    Raises Refused when asked to listen beyond loopback without an explicit setting, Unavailable when the port is taken,
    and what `open_platform` raises.
    """
    if role == "worker":
        _work_only(settings)
        return
    http = settings.http
    if not _is_loopback(http.host) and not http.allow_open:
        raise Refused(
            f"Groundwork has no identity yet: on {http.host} anyone who reaches port {http.port} could read every "
            "document. Listen on 127.0.0.1, or set GROUNDWORK_HTTP__ALLOW_OPEN=true if that is what you want."
        )
    listener = _listen(http)
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(
        f"Data directory: {settings.data_dir}\n"
        f"Groundwork serves {address}, documented at {address}/docs. Ctrl-C stops it.\n"
        "There is no identity yet: whoever reaches this address may ask and upload.",
        file=sys.stderr,
        flush=True,
    )
    _run(settings, listener, [work] if role == "all" else [])


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


def _run(settings: Settings, listener: socket.socket, beside: Sequence[Beside]) -> None:
    failures: list[GroundworkError] = []

    @asynccontextmanager
    async def platform() -> AsyncGenerator[Platform]:
        try:
            async with open_platform(settings) as opened:
                yield opened
        except GroundworkError as error:
            failures.append(error)
            raise

    def give_up(error: GroundworkError) -> None:
        failures.append(error)
        server.should_exit = True

    config = uvicorn.Config(
        create_app(platform, settings.http.max_upload_mb, beside, give_up),
        log_config=None,
        log_level="warning",
        access_log=False,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(config)
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


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
