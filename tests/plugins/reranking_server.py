"""A small HTTP server that puts texts into order, to test the adapter against the real thing.

Its scores are the overlap double's. It speaks `/v1/rerank`, or only Text Embeddings Inference's own `/rerank`, and sends
its results best first, as real ones do.
"""

import json
import math
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from groundwork.rerankers.overlap import overlap
from plugins.embedding_server import Reply


@dataclass
class RerankingServer:
    """What the server was told to do, and what it was asked."""

    url: str
    speaks_tei: bool = False
    sends_logits: bool = False
    replies: deque[Reply] = field(default_factory=deque)
    paths: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)
    """Cleared: it takes questions and says nothing until it is set again, or the server stops."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: RerankingServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.paths.append(self.path)
        self.state.requests.append(request)
        self.state.authorizations.append(self.headers["Authorization"])
        self.state.may_answer.wait()
        if self.state.replies:
            reply = self.state.replies.popleft()
            self._send(reply.status, reply.body.encode(), reply.headers)
        elif self.path == ("/rerank" if self.state.speaks_tei else "/v1/rerank"):
            self._send(200, json.dumps(self._order(request)).encode(), {})
        else:
            self._send(404, b"no such page", {})

    def _order(self, request: dict[str, Any]) -> Any:
        texts = request["texts" if self.state.speaks_tei else "documents"]
        if self.state.speaks_tei and len(texts) > 32:
            raise AssertionError("more texts than it takes at once")
        scores = [self._score(overlap(request["query"], text)) for text in texts]
        best_first = sorted(range(len(texts)), key=lambda place: -scores[place])
        if self.state.speaks_tei:
            return [{"index": place, "score": scores[place]} for place in best_first]
        return {"results": [{"index": place, "relevance_score": scores[place]} for place in best_first]}

    def _score(self, share: float) -> float:
        if not self.state.sends_logits:
            return share
        share = min(max(share, 1e-6), 1 - 1e-6)
        return math.log(share / (1 - share))

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # whoever asked has given up
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing: the tests look at `requests`."""


@contextmanager
def serve_reranking(speaks_tei: bool = False, sends_logits: bool = False) -> Generator[RerankingServer]:
    """The server on a free port of this machine, until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_port}"
    handler.state = state = RerankingServer(url, speaks_tei, sends_logits)
    state.may_answer.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
