"""A PostgreSQL somebody else runs: version 16, reached over TCP with a password, by GROUNDWORK_DATABASE_URL."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from groundwork.store.binaries import environment, give_to_server, installation, let_server_reach, spawn
from plugins.embedded_process import all_gone
from plugins.installation import write
from plugins.service import command, command_json

_BINARIES = installation().parent / "pginstall" / "bin"
_PASSWORD = "a-test-password"

pytestmark = pytest.mark.skipif(not (_BINARIES / "postgres").exists(), reason="no second PostgreSQL in the package")


@pytest.fixture
def own_url() -> Generator[str]:
    """A PostgreSQL 16 on loopback that wants a password."""
    folder = Path(tempfile.mkdtemp(prefix="groundwork-pg16-"))
    let_server_reach(folder)
    (folder / "password").write_text(_PASSWORD)
    give_to_server(folder)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    data = folder / "data"
    initdb = [
        "initdb",
        "-D",
        str(data),
        "-U",
        "owner",
        "--auth=scram-sha-256",
        f"--pwfile={folder / 'password'}",
        "-E",
        "UTF8",
    ]
    with (folder / "log").open("ab") as log:
        assert _start(initdb, log).wait(60) == 0, (folder / "log").read_text()
        server = _start(["postgres", "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"], log)
    url = f"postgresql://owner:{_PASSWORD}@127.0.0.1:{port}/postgres"
    _await_answer(url)
    yield url
    server.terminate()
    server.wait(30)
    shutil.rmtree(folder)


def _start(arguments: list[str], log: object) -> "subprocess.Popen[bytes]":
    return spawn([str(_BINARIES / arguments[0]), *arguments[1:]], log, with_parent=None)  # type: ignore[arg-type]


def _await_answer(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL 16 did not start"
            time.sleep(0.1)
        else:
            return


def test_the_same_work_on_somebody_elses_postgresql(own_url: str, data_dir: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"pump.md": "# Heron pump\n\nThe Heron pump moves forty litres a minute.\n"})
    assert command_json(data_dir, "ingest", str(folder), DATABASE_URL=own_url)["added"] == 1
    body = command_json(data_dir, "ask", "How many litres does the pump move?", DATABASE_URL=own_url)
    assert body["citations"][0]["verified"] is True
    assert all_gone(data_dir)
    assert not (data_dir / "postgres").exists(), "no server of our own was started"
    with psycopg.connect(own_url) as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (1,)


def test_a_wrong_password_is_said_without_the_password(own_url: str, data_dir: Path) -> None:
    wrong = own_url.replace(_PASSWORD, "not-the-password")
    refused = command(data_dir, "collections", "list", DATABASE_URL=wrong)
    assert refused.returncode == 8
    assert "not-the-password" not in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_environment_of_the_tools_carries_no_password() -> None:
    assert not any(name.startswith("PG") and "PASS" in name for name in environment())
