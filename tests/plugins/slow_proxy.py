"""A TCP proxy that can be told to be slow."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class SlowProxy:
    """Passes bytes on to `port`, each piece after `delay` seconds."""

    port: int
    delay: float = 0.0
    own_port: int = 0
    running: "set[asyncio.Task[None]]" = field(default_factory=set["asyncio.Task[None]"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        finally:
            back.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            await asyncio.sleep(self.delay)
            writer.write(piece)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def slow_proxy(port: int) -> AsyncGenerator[SlowProxy]:
    """A proxy before `port` for as long as the block runs; not slow yet."""
    proxy = SlowProxy(port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        proxy.running.add(task)
        task.add_done_callback(proxy.running.discard)
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await proxy.serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.own_port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(proxy.running):
            task.cancel()
        await asyncio.gather(*proxy.running, return_exceptions=True)
