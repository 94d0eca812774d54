"""Where the record is: the database the settings name, or the embedded server, started when it does not run."""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from groundwork.errors import Invalid
from groundwork.settings import Settings
from groundwork.store.embedded import EmbeddedServer


async def reach(settings: Settings, stack: AsyncExitStack) -> tuple[str, EmbeddedServer | None]:
    """URL of the database, and the embedded server if it is that one, held until `stack` ends.

    Raises Invalid for a URL that is none, and what starting the server raises.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        if urlsplit(url).scheme not in {"postgresql", "postgres"}:
            raise Invalid("GROUNDWORK_DATABASE_URL must look like postgresql://user:password@host:5432/name.")
        return url, None
    server = EmbeddedServer(settings.data_dir, settings.database.start_timeout_seconds)
    url = await asyncio.to_thread(server.start)
    stack.push_async_callback(asyncio.to_thread, server.close)
    return url, server
