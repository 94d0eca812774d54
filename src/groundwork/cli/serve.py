"""`groundwork serve`."""

from typing import Annotated

import typer

from groundwork.cli import run
from groundwork.cli.options import ServeRole


def serve(
    host: Annotated[str | None, typer.Option(help="Interface to listen on; GROUNDWORK_HTTP__HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; GROUNDWORK_HTTP__PORT.")] = None,
    role: Annotated[ServeRole, typer.Option(help="The API, the worker that runs jobs, or both.")] = ServeRole.ALL,
) -> None:
    """Serve the HTTP API and run jobs until Ctrl-C."""
    from groundwork import serve as service  # start-up time

    settings = run.settings()
    given = {key: value for key, value in {"host": host, "port": port}.items() if value is not None}
    service.serve(settings.model_copy(update={"http": settings.http.model_copy(update=given)}), role.value)
