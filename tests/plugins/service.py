"""A Groundwork service and command line in processes of their own, as a person starts them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """This process's environment with a data directory and settings such as `HTTP__PORT`."""
    named = {f"GROUNDWORK_{name}": value for name, value in settings.items()}
    return {**os.environ, "GROUNDWORK_DATA_DIR": str(data_dir), "GROUNDWORK_EMBEDDER__KIND": "hashing", **named}


def command(data_dir: Path, *arguments: str, typed: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
    """Runs `groundwork` with `arguments` to its end; `typed` is what the person types."""
    return subprocess.run(
        [sys.executable, "-m", "groundwork", *arguments],
        env=environment(data_dir, **settings),
        input=typed,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def command_json(data_dir: Path, *arguments: str, **settings: str) -> Any:
    """What `groundwork` printed as JSON; fails the test when it did not end well."""
    done = command(data_dir, *arguments, "--json", **settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The content as JSON."""
        return json.loads(self.content)


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: "subprocess.Popen[bytes]"
    url: str
    key: str = ""
    """Sent with every request that brings no credentials of its own."""

    def knowing(self, key: str) -> "Service":
        """The same to somebody who has another key; an empty one is none."""
        return replace(self, key=key)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request; an answer of any status is returned."""
        data = json.dumps(body).encode() if body is not None else content
        given = {"Content-Type": "application/json", **(headers or {})}
        if self.key and not {"X-API-Key", "Authorization"} & set(given):
            given["X-API-Key"] = self.key
        request = urllib.request.Request(self.url + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Reply(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read())

    def upload(self, name: str, content: bytes, collection: str = "default") -> Reply:
        """Uploads a document as a browser's form does."""
        mark = "----groundwork-test"
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="collection"\r\n\r\n{collection}\r\n'.encode(),
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
            + content
            + b"\r\n",
            f"--{mark}--\r\n".encode(),
        ]
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        return self.call("POST", "/api/v1/documents", content=b"".join(parts), headers=headers)

    def document_when_done(self, document_id: str) -> dict[str, Any]:
        """The document once it is no longer pending."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            document = self.call("GET", f"/api/v1/documents/{document_id}").body
            if document["status"] != "pending":
                return document
            time.sleep(0.05)
        raise AssertionError("the upload was not taken in within 60 s")


@contextmanager
def service(data_dir: Path, log: Path | str | None = None, **settings: str) -> Generator[Service]:
    """A service that is ready, for as long as the block runs; stopped as an operator stops it. It writes to `log`."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with Path(log or os.devnull).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "groundwork", "serve", "--port", str(port)],
            env=environment(data_dir, **settings),
            stdout=output,
            stderr=output,
        )
    running = Service(process, f"http://127.0.0.1:{port}")
    try:
        await_ready(running)
        yield running.knowing(new_key(data_dir, **settings))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def new_key(data_dir: Path, *scopes: str, **settings: str) -> str:
    """A key for those scopes, or for all."""
    wanted = [f"--scope={scope}" for scope in scopes or ("search", "ask", "ingest", "admin")]
    return command_json(data_dir, "keys", "create", "test", *wanted, **settings)["key"]


def await_ready(running: Service, timeout: float = 60.0) -> None:
    """Returns once `/health/ready` answers 200."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        assert running.process.poll() is None, f"the service ended with {running.process.returncode}"
        try:
            if running.call("GET", "/health/ready").status == 200:
                return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"the service was not ready within {timeout} s")
