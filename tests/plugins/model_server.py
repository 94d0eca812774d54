"""A small HTTP server that speaks as providers of language models do, and misbehaves as they do, when told to.

It knows OpenAI chat completions (`server.url + "/v1"` is the base URL), Anthropic messages (`server.url` is), both streamed
and not, and lists of models. Each request takes the next behaviour of `script`; when that is empty, what `decide` makes of
it; else `default`. Hundreds of streams at once are one thread's work. Run as a program it says its URL and serves until its
input ends:

    PYTHONPATH=tests python -m plugins.model_server [PIECES [SECONDS BEFORE THE FIRST [SECONDS BETWEEN]]]
"""

import asyncio
import json
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from plugins.model_replies import ANTHROPIC, OPENAI, Dialect

TEXT = ("Groundwork ", "answers ", "from ", "documents.")


@dataclass(frozen=True)
class Behaviour:
    """How one request is answered. The functions below make the usual ones."""

    pieces: tuple[str, ...] = TEXT
    before: float = 0.0
    """Seconds before the first piece; the head of the reply goes out with it."""
    between: float = 0.0
    """Seconds between two pieces."""
    usage: tuple[int, int] | None = (11, 7)
    """Tokens in and out that it reports, if any."""
    ending: Literal["whole", "cut", "unmarked", "stall"] = "whole"
    """After the pieces: the end mark; the connection breaks; the reply ends without its mark; nothing more comes."""
    silent: bool = False
    """Not even the head of a reply is sent."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    """Sent instead of anything the protocol knows."""


def says(*pieces: str, before: float = 0.0, between: float = 0.0, usage: tuple[int, int] | None = (11, 7)) -> Behaviour:
    """An answer in these pieces."""
    return Behaviour(pieces, before, between, usage)


def fails(status: int = 500, said: str = "it is broken") -> Behaviour:
    """An error, told as the protocol does."""
    return Behaviour(status=status, pieces=(said,))


def limited(retry_after: str | None = "7") -> Behaviour:
    """429, and when to come back."""
    return Behaviour(status=429, pieces=("too many",), headers={"Retry-After": retry_after} if retry_after else {})


def stalls(after: int | None = None) -> Behaviour:
    """Says so many pieces and then nothing more; None: not even that it has understood."""
    return Behaviour(TEXT[: after or 0], ending="stall", silent=after is None)


def cuts(after: int = 2) -> Behaviour:
    """Says so many pieces, then breaks the connection."""
    return Behaviour(TEXT[:after], ending="cut")


def unfinished(after: int = 2) -> Behaviour:
    """Says so many pieces, then ends the stream politely, but without the mark that all has been said."""
    return Behaviour(TEXT[:after], ending="unmarked")


def nonsense(kind: Literal["html", "json", "no_choices", "empty"]) -> Behaviour:
    """200, and no answer: a web page, broken JSON, a reply without a choice, a reply without a word."""
    if kind == "html":
        return Behaviour(body="<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"})
    if kind == "json":
        return Behaviour(
            body='data: {"choices": [{"del\n\ndata: {oops\n\n', headers={"Content-Type": "text/event-stream"}
        )
    return Behaviour(()) if kind == "no_choices" else Behaviour(("",))


@dataclass
class Asked:
    """One request, and what became of it."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in small letters."""
    body: Any
    at: float
    """Moments are of the monotonic clock, in seconds."""
    sent: list[float] = field(default_factory=list[float])
    """When each piece went out."""
    done_at: float | None = None
    """When the reply was finished, in whatever way."""
    left_at: float | None = None
    """When whoever asked went away before that."""


@dataclass
class ModelServer:
    """What the server was told to do, and what it was asked."""

    url: str
    script: deque[Behaviour] = field(default_factory=deque[Behaviour])
    decide: Callable[[Asked], Behaviour] | None = None
    default: Behaviour = field(default_factory=Behaviour)
    models: list[str] = field(default_factory=lambda: ["test-model"])
    listing: Behaviour | None = None
    """How the list of models is answered, when not with `models`."""
    requests: list[Asked] = field(default_factory=list[Asked])
    """All that asked for an answer, in the order they came."""
    looks: list[Asked] = field(default_factory=list[Asked])
    """All others."""
    at_work: int = 0
    """Replies under way."""
    most_at_work: int = 0

    def wait_for(self, true: Callable[["ModelServer"], bool], seconds: float = 15.0) -> None:
        """Until something is true of it. Raises AssertionError when it is not in time."""
        deadline = time.monotonic() + seconds
        while not true(self):
            assert time.monotonic() < deadline, "the model server waited in vain"
            time.sleep(0.005)

    def behaviour(self, asked: Asked) -> Behaviour:
        """What this request gets."""
        if self.script:
            return self.script.popleft()
        return self.decide(asked) if self.decide else self.default


class _Connection:
    """One client: its requests, one after the other."""

    def __init__(self, server: ModelServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer

    async def run(self) -> None:
        first = await self._reader.read(1)
        while first:
            asked = await self._read(first)
            # What the client sends next, or that it went away, is noticed while it is being answered.
            following = asyncio.ensure_future(self._reader.read(1))
            replying = asyncio.ensure_future(self._reply(asked))
            await asyncio.wait([following, replying], return_when=asyncio.FIRST_COMPLETED)
            if not replying.done():
                asked.left_at = time.monotonic()
                replying.cancel()
            await asyncio.wait([replying])
            asked.done_at = time.monotonic()
            if replying.cancelled() or replying.exception() or self._writer.is_closing():
                following.cancel()
                return
            first = await following

    async def _read(self, first: bytes) -> Asked:
        head = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        content = await self._reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method, path.partition("?")[0], headers, json.loads(content or b"null"), time.monotonic())
        (self._server.requests if method == "POST" else self._server.looks).append(asked)
        return asked

    async def _reply(self, asked: Asked) -> None:
        dialect = {"/v1/chat/completions": OPENAI, "/v1/messages": ANTHROPIC}.get(asked.path)
        if asked.path == "/v1/models":
            listed = {"object": "list", "data": [{"id": each, "object": "model"} for each in self._server.models]}
            await self._answer(asked, self._server.listing or Behaviour(body=json.dumps(listed)), OPENAI)
        elif dialect is None:
            await self._answer(asked, fails(404, "no such page"), OPENAI)
        else:
            self._server.at_work += 1
            self._server.most_at_work = max(self._server.most_at_work, self._server.at_work)
            try:
                await self._answer(asked, self._server.behaviour(asked), dialect)
            finally:
                self._server.at_work -= 1

    async def _answer(self, asked: Asked, told: Behaviour, dialect: Dialect) -> None:
        await asyncio.sleep(told.before)
        if told.silent:
            await asyncio.Event().wait()
        if told.body is not None:
            await self._whole(told, told.body)
        elif told.status != 200:
            await self._whole(told, json.dumps(dialect.error(told.status, "".join(told.pieces))))
        elif asked.body.get("stream"):
            await self._stream(asked, told, dialect)
        else:
            await self._at_once(asked, told, dialect)

    async def _at_once(self, asked: Asked, told: Behaviour, dialect: Dialect) -> None:
        await asyncio.sleep(told.between * max(0, len(told.pieces) - 1))
        body = json.dumps(dialect.whole(asked.body["model"], told.pieces, told.usage))
        if told.ending == "whole":
            await self._whole(told, body)
            asked.sent.append(time.monotonic())
            return
        self._head(replace(told, headers={"Content-Length": str(len(body)), **told.headers}), "application/json")
        self._writer.write(body.encode()[: len(body) // 2])
        await self._end_badly(told)

    async def _stream(self, asked: Asked, told: Behaviour, dialect: Dialect) -> None:
        self._head(replace(told, headers={"Transfer-Encoding": "chunked", **told.headers}), "text/event-stream")
        wants_usage = dialect is ANTHROPIC or (asked.body.get("stream_options") or {}).get("include_usage")
        usage = told.usage if wants_usage else None
        await self._chunk(dialect.opening(asked.body["model"], usage))
        for number, piece in enumerate(told.pieces):
            if number:
                await asyncio.sleep(told.between)
            await self._chunk(dialect.piece(asked.body["model"], piece))
            asked.sent.append(time.monotonic())
        if told.ending in {"cut", "stall"}:
            await self._end_badly(told)
            return
        if told.ending == "whole":
            await self._chunk(dialect.closing(asked.body["model"], usage, bool(told.pieces)))
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def _chunk(self, text: str) -> None:
        content = text.encode()
        if content:
            self._writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            await self._writer.drain()

    async def _end_badly(self, told: Behaviour) -> None:
        await self._writer.drain()
        if told.ending == "stall":
            await asyncio.Event().wait()
        self._writer.close()  # what was written goes out, the rest never comes

    async def _whole(self, told: Behaviour, body: str) -> None:
        self._head(
            replace(told, headers={"Content-Length": str(len(body.encode())), **told.headers}), "application/json"
        )
        self._writer.write(body.encode())
        await self._writer.drain()

    def _head(self, told: Behaviour, content_type: str) -> None:
        headers = {"Content-Type": content_type, **told.headers}
        lines = [f"HTTP/1.1 {told.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


class _Service:
    """The server's event loop, in a thread of its own."""

    def __init__(self, listener: socket.socket, state: ModelServer) -> None:
        self._listener, self._state = listener, state
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)
        self._ended = asyncio.Event()
        self._clients: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._client, sock=self._listener, backlog=1024, limit=1 << 24)
        await self._ended.wait()
        server.close()
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio leaves this out for what a plain listener accepts, and pieces would wait for one another.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.ensure_future(self._attend(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):  # the client went away
                await _Connection(self._state, reader, writer).run()
        finally:
            writer.close()


def free_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def serve_models(port: int = 0) -> Generator[ModelServer]:
    """The server on a port of this machine (0: a free one), until the block ends."""
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        state = ModelServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        service = _Service(listener, state)
        service.start()
        try:
            yield state
        finally:
            service.stop()


def _main(arguments: list[str]) -> None:
    pieces = int(arguments[0]) if arguments else len(TEXT)
    seconds = [float(each) for each in arguments[1:]]
    with serve_models() as server:
        server.default = says(
            *(TEXT[n % len(TEXT)] for n in range(pieces)), **dict(zip(("before", "between"), seconds, strict=False))
        )
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _main(sys.argv[1:])
