"""The HTTP application: its routes, and what runs beside them while it serves."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp

from groundwork import __version__
from groundwork.api import (
    admin,
    ask,
    auth,
    breakers,
    budgets,
    collections,
    documents,
    gates,
    health,
    jobs,
    limits,
    metrics,
    models,
    oidc,
    openai,
    problems,
    search,
    sessions,
    sources,
    spaces,
)
from groundwork.assembly import Platform
from groundwork.errors import GroundworkError, Unavailable
from groundwork.settings import HttpSettings

log = structlog.get_logger()

OpenPlatform = Callable[[], AbstractAsyncContextManager[Platform]]
Beside = Callable[[Platform], Coroutine[Any, Any, None]]
_ROUTES = (
    search,
    ask,
    models,
    sessions,
    documents,
    collections,
    sources,
    jobs,
    spaces,
    budgets,
    auth,
    oidc,
    openai,
    admin,
    breakers,
    health,
    metrics,
)
_MARGIN = 1 << 20
_UPLOADS_IN_MEMORY = 2
"""Uploads read from their temporary files at once; others wait, so that many large ones do not fill the memory."""
_AFTER_FAULT_SECONDS = 1.0


class _Gated(FastAPI):
    """Behind the gates in everything it answers, also where the framework answers for a route that failed."""

    def __init__(self, http: HttpSettings, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> None:
        super().__init__(
            title="Groundwork",
            version=__version__,
            summary="Answers from your own documents, with citations that can be checked to the byte.",
            lifespan=lifespan,
        )
        self._http = http

    def build_middleware_stack(self) -> ASGIApp:
        return gates.around(super().build_middleware_stack(), self._http)


def create_app(
    open_platform: OpenPlatform,
    http: HttpSettings,
    beside: Sequence[Beside] = (),
    on_failed_start: Callable[[GroundworkError], None] = lambda _: None,
) -> FastAPI:
    """The application. It is live once the database is, and ready when the model and the indexes are.

    `beside` runs next to it for as long as it serves. `on_failed_start` is told why it will never be ready. Whoever
    serves it sets `app.state.stopping` when it is asked to stop; streams end then.
    """
    app = _Gated(http, lambda app: _lifespan(app, open_platform, beside, on_failed_start))
    for module in _ROUTES:
        app.include_router(module.router)
    app.state.stopping = asyncio.Event()
    app.state.uploads = asyncio.Semaphore(_UPLOADS_IN_MEMORY)
    problems.install(app)
    app.add_middleware(limits.LimitHeaders)
    app.add_middleware(limits.BodyLimit, upload=(http.max_upload_mb << 20) + _MARGIN)
    return app


@asynccontextmanager
async def _lifespan(
    app: FastAPI,
    open_platform: OpenPlatform,
    beside: Sequence[Beside],
    on_failed_start: Callable[[GroundworkError], None],
) -> AsyncGenerator[None]:
    async with open_platform() as platform:
        app.state.platform = platform
        app.state.ready = asyncio.Event()
        running = asyncio.create_task(_run(app, platform, beside, on_failed_start))
        try:
            yield
        finally:
            app.state.ready.clear()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def _run(
    app: FastAPI,
    platform: Platform,
    beside: Sequence[Beside],
    on_failed_start: Callable[[GroundworkError], None],
) -> None:
    try:
        await platform.ready()
    except GroundworkError as error:
        on_failed_start(error)
        return
    except Exception as error:  # whatever it is, a service that cannot start must not seem to be starting
        log.exception("the service could not start")
        on_failed_start(Unavailable(f"Groundwork could not start: {error!r}. The log holds the details."))
        return
    app.state.ready.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(_again_and_again(lambda: asyncio.to_thread(platform.embedder.warm)))
        group.create_task(_again_and_again(platform.lexical.follow))
        group.create_task(_again_and_again(platform.models.follow))
        for each in beside:
            group.create_task(_again_and_again(partial(each, platform)))


async def _again_and_again(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs something to its end, however often it fails: what is unforeseen must not end the rest."""
    while True:
        try:
            return await run()
        except Exception:
            log.exception("something that runs beside the service failed; it is started again")
            await asyncio.sleep(_AFTER_FAULT_SECONDS)
