"""The gates of a service in a process of its own: who gets in, how many, over what, and how it ends."""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from groundwork.access.credentials.keys import NewKey
from groundwork.access.scope import OPERATOR
from groundwork.assembly import Platform
from groundwork.settings import Settings
from plugins import certificates
from plugins.installation import on_platform, write
from plugins.service import command, environment

_BLIND = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_BLIND.check_hostname = False
_BLIND.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True)
class Running:
    """A service, and what it said at its start."""

    process: "subprocess.Popen[bytes]"
    port: int
    said: Path
    tls: bool

    def connect(self) -> http.client.HTTPConnection:
        """A connection, not yet open."""
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=_BLIND)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, body."""
        connection = self.connect()
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def certificate(self) -> str:
        """The name in the certificate a new connection is shown."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as plain, _BLIND.wrap_socket(plain) as connection:
            shown = connection.getpeercert(binary_form=True)
        assert shown is not None
        return certificates.common_name(shown)


@contextmanager
def _serving(settings: Settings, role: str = "all", **named: str) -> Generator[Running]:
    """A service that is ready, for as long as the block runs."""
    assert settings.database_url is not None
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    said = settings.data_dir.parent / "said.txt"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "groundwork", "serve", "--port", str(port), "--role", role],
            env=environment(settings.data_dir, DATABASE_URL=settings.database_url.get_secret_value(), **named),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    running = Running(process, port, said, "HTTP__TLS_KEY" in named)
    try:
        _await(lambda: _is_ready(running), 60)
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def _is_ready(running: Running) -> bool:
    assert running.process.poll() is None, running.said.read_text()
    try:
        return running.get("/health/ready")[0] == 200
    except OSError:
        return False


def _await(what: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def test_a_running_service_keeps_strangers_and_crowds_out(settings: Settings) -> None:
    with _serving(settings, "api", HTTP__MAX_REQUESTS="1") as running:
        status, headers, _ = running.get("/openapi.json")
        assert status == 200
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers

        status, headers, body = running.get("/openapi.json", Host="evil.example")
        assert (status, json.loads(body)["kind"]) == (421, "refused")
        assert headers["x-frame-options"] == "DENY"
        assert running.get("/health", Host="evil.example")[0] == 200

        with socket.create_connection(("127.0.0.1", running.port), 20) as slow:
            slow.sendall(b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
            slow.sendall(b"Content-Length: 100\r\n\r\n{")
            _await(lambda: running.get("/openapi.json")[0] == 503, 10)
            assert running.get("/openapi.json")[1]["retry-after"] == "1"
            assert running.get("/health/ready")[0] == 200
        _await(lambda: running.get("/openapi.json")[0] == 200, 10)


@pytest.mark.parametrize(
    ("trusted", "address"), [("[]", "127.0.0.1"), ('["127.0.0.0/8"]', "198.51.100.1")], ids=["nobody", "a proxy"]
)
def test_the_audit_log_names_the_caller_and_not_whom_the_caller_names(
    settings: Settings, trusted: str, address: str
) -> None:
    async def prepare(platform: Platform) -> str:
        return (await platform.access.keys.create(NewKey("auditor", ["admin"]), OPERATOR))["key"]

    key = on_platform(settings, prepare)
    with _serving(settings, "api", HTTP__TRUSTED_PROXIES=trusted) as running:
        connection = running.connect()
        form = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": "1.1.1.1, 198.51.100.1"}
        connection.request("POST", "/auth/token", "username=nobody&password=guessed", form)
        assert connection.getresponse().status in {401, 403}
        connection.close()
        status, _, body = running.get("/admin/audit?action=login_failed", X_API_Key=key)
    assert status == 200, body
    assert [each["address"] for each in json.loads(body)["items"]] == [address]


def test_a_body_that_stalls_is_answered_with_408(settings: Settings) -> None:
    with (
        _serving(settings, "api", HTTP__BODY_TIMEOUT_SECONDS="0.5") as running,
        socket.create_connection(("127.0.0.1", running.port), 20) as slow,
    ):
        slow.sendall(b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        slow.sendall(b"Content-Length: 100\r\n\r\n{")
        reply = b"".join(iter(lambda: slow.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in reply


def test_tls_is_served_and_a_new_certificate_is_shown_without_a_restart(settings: Settings, tmp_path: Path) -> None:
    file, key = certificates.write(tmp_path, "first")
    with _serving(settings, "api", HTTP__TLS_CERTIFICATE=str(file), HTTP__TLS_KEY=str(key)) as running:
        assert f"https://127.0.0.1:{running.port}" in running.said.read_text()
        assert "max-age=" in running.get("/health")[1]["strict-transport-security"]
        assert running.certificate() == "first"

        file.write_bytes(certificates.make("half written")[0])
        _await(lambda: "the old one stays" in running.said.read_text(), 20)
        assert running.certificate() == "first"

        certificates.write(tmp_path, "second")
        _await(lambda: running.certificate() == "second", 20)
        assert running.get("/health")[0] == 200


@pytest.mark.parametrize("role", ["all", "api"])
def test_a_certificate_that_cannot_be_used_is_said_before_anything_is_started(tmp_path: Path, role: str) -> None:
    file, _ = certificates.write(tmp_path, "ours")
    (tmp_path / "other").mkdir()
    _, other = certificates.write(tmp_path / "other", "other")
    named = {"HTTP__TLS_CERTIFICATE": str(file), "HTTP__TLS_KEY": str(other)}
    done = command(tmp_path / "data", "serve", "--port", "0", "--role", role, **named)
    assert done.returncode != 0
    assert "is not the one of the certificate" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_stream_that_a_stop_cuts_off_ends_with_an_error_event(settings: Settings, tmp_path: Path) -> None:
    async def prepare(platform: Platform) -> tuple[str, str]:
        key = await platform.access.keys.create(NewKey(f"test-{uuid4()}", ["admin", "ingest"]), OPERATOR)
        job = await platform.queue_ingest(write(tmp_path / "docs", {"a.md": "# A\n\nText."}), "default", "bulk")
        return key["key"], job["id"]

    key, job_id = on_platform(settings, prepare)
    with _serving(settings, "api") as running:  # no worker: the job waits for ever
        connection = running.connect()
        connection.request("GET", f"/api/v1/jobs/{job_id}/events", headers={"X-API-Key": key})
        stream = connection.getresponse()
        assert stream.status == 200, stream.read()
        assert stream.readline() == b"event: progress\n"
        stopped = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        events = stream.read().decode().strip().split("\n\n")
        assert running.process.wait(30) is not None
        assert time.monotonic() - stopped < 9, "it did not wait for the stream to be given up"
        connection.close()
    name, data = events[-1].split("\n")
    assert name == "event: error"
    error = json.loads(data.removeprefix("data: "))
    assert set(error) == {"kind", "message"}
    assert error["kind"] == "unavailable"
