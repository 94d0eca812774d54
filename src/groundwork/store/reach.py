"""Where the record is: the database the settings name, or the embedded server, started when it does not run."""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from groundwork.errors import Invalid
from groundwork.settings import Settings
from groundwork.store.embedded import EmbeddedServer

_HIGHEST_PORT = 65535


async def reach(settings: Settings, stack: AsyncExitStack) -> tuple[str, EmbeddedServer | None]:
    """URL of the database, and the embedded server if it is that one, held until `stack` ends.

    Raises Invalid for a URL that is none, and what starting the server raises.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        _check(url)
        return url, None
    server = EmbeddedServer(settings.data_dir, settings.database.start_timeout_seconds)
    url = await asyncio.to_thread(server.start)
    stack.push_async_callback(asyncio.to_thread, server.close)
    return url, server


def _check(url: str) -> None:
    """Raises Invalid for what is no URL of a PostgreSQL. Nothing of the URL is in the message: it holds a password."""
    try:
        scheme = urlsplit(url).scheme
        parts = conninfo_to_dict(url) if scheme in {"postgresql", "postgres"} else None
    except (ValueError, ProgrammingError):
        parts = None
    if parts is None:
        raise Invalid(
            "GROUNDWORK_DATABASE_URL must look like postgresql://user:password@host:5432/name; characters such as @ or / in "
            "the password are written as %40 or %2F, an IPv6 address in brackets."
        )
    ports = str(parts.get("port", "")).split(",")  # libpq takes several hosts, each with its port
    if not all(port == "" or (port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT) for port in ports):
        raise Invalid(f"The port in GROUNDWORK_DATABASE_URL must be a number from 1 to {_HIGHEST_PORT}.")
