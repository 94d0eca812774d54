"""A web server on this machine whose every answer a test decides."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Send = Callable[[bytes], None]


@dataclass(frozen=True)
class Answer:
    """What is sent for a path. `drip` sends the body itself, however slowly."""

    body: bytes = b""
    media_type: str | None = "text/html; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    drip: Callable[[Send], None] | None = None


def redirect(to: str, status: int = 302) -> Answer:
    return Answer(status=status, headers=(("Location", to),))


@dataclass
class Website:
    """Pages by path; what is not there is answered with 404."""

    pages: dict[str, Answer] = field(default_factory=dict[str, Answer])
    asked: list[str] = field(default_factory=list[str])
    """Paths in the order they were asked for, robots.txt included."""
    hosts: list[str] = field(default_factory=list[str])
    agents: set[str] = field(default_factory=set[str])
    port: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def put(self, path: str, body: str | bytes, media_type: str | None = "text/html; charset=utf-8") -> str:
        self.pages[path] = Answer(body.encode() if isinstance(body, str) else body, media_type)
        return self.url + path

    @contextmanager
    def serving(self) -> Iterator["Website"]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.hosts.append(self.headers["Host"])
                site.agents.add(self.headers["User-Agent"])
                self._send(site.pages.get(self.path, Answer(b"nothing here", status=404)))

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                if answer.media_type is not None:
                    self.send_header("Content-Type", answer.media_type)
                for name, value in answer.headers:
                    self.send_header(name, value)
                if answer.drip is None:
                    self.send_header("Content-Length", str(len(answer.body)))
                else:
                    self.close_connection = True
                    self.send_header("Connection", "close")
                self.end_headers()
                try:
                    (answer.drip or (lambda send: send(answer.body)))(self.wfile.write)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        server = _Server(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that breaks off is what many of these tests are about."""
