"""A small HTTP server speaking the OpenAI embeddings protocol, to test the adapter against the real thing.

Its vectors are the hashing double's, made longer than one, and it sends them in reverse order, as the protocol allows.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from groundwork.embedders.hashing import HashingEmbedder


@dataclass(frozen=True)
class Reply:
    """What the server says once instead of an embedding."""

    status: int
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class EmbeddingServer:
    """What the server was told to do, and what it was asked."""

    url: str
    replies: deque[Reply] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    double: HashingEmbedder = field(default_factory=HashingEmbedder)
    delay_seconds: float = 0.0
    """How long an answer to several texts takes, for tests that need work to last."""

    def texts(self) -> list[str]:
        """Every text it was asked for, in the order of the requests."""
        return [text for request in list(self.requests) for text in request["input"]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: EmbeddingServer

    def do_GET(self) -> None:
        self._answer(lambda: {"object": "list", "data": [{"id": "test-model"}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.requests.append(request)
        self._answer(lambda: self._embeddings(request["input"]))

    def _answer(self, make: Any) -> None:
        self.state.authorizations.append(self.headers["Authorization"])
        if self.state.replies:
            reply = self.state.replies.popleft()
            self._send(reply.status, reply.body.encode(), reply.headers)
        else:
            self._send(200, json.dumps(make()).encode(), {})

    def _embeddings(self, texts: list[str]) -> dict[str, Any]:
        if len(texts) > 1:
            time.sleep(self.state.delay_seconds)
        rows = [(self.state.double.embed_query(text) * 3).tolist() for text in texts]
        data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
        return {"object": "list", "model": "test-model", "data": data[::-1], "usage": {"prompt_tokens": 1}}

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # whoever asked was killed meanwhile
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing: the tests look at `requests`."""


@contextmanager
def serve_embeddings() -> Generator[EmbeddingServer]:
    """The server on a free port of this machine, until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.state = state = EmbeddingServer(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
