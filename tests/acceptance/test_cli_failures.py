"""The command line when something is wrong: one clear line, an exit code, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugins.service import command, environment

_BOOM = """
import sys
from groundwork.cli import main, run

@main.app.command()
def boom():
    run.settings()
    raise RuntimeError("the flux is not\\nconserved")

sys.argv = ["groundwork", "boom"]
main.main()
"""
_UNREACHABLE = "postgresql://127.0.0.1:1/nothing"


def _one_line(stderr: str) -> str:
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    return lines[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "caf\udce9"],
        ["ingest", "/tmp/caf\udce9"],
        ["documents", "list", "--collection", "caf\udce9"],
        ["sources", "add", "caf\udce9", "/tmp"],
        ["no-such-command-\udce9"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_argument_that_is_not_utf8_is_refused_in_one_line(tmp_path: Path, arguments: list[str]) -> None:
    done = command(tmp_path / "data", *arguments, DATABASE_URL=_UNREACHABLE)
    assert done.returncode == 2
    assert "xe9' is not UTF-8" in _one_line(done.stderr)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://[::1", "must look like postgresql://"),
        ("postgresql://u:secret%ZZ@127.0.0.1/d", "must look like postgresql://"),
        ("postgresql://127.0.0.1/d?bogus=1", "must look like postgresql://"),
        ("postgresql://127.0.0.1/\udcff", "must look like postgresql://"),
        ("mysql://127.0.0.1/d", "must look like postgresql://"),
        ("nonsense", "must look like postgresql://"),
        ("postgresql://127.0.0.1:port/d", "must be a number from 1 to 65535"),
        ("postgresql://127.0.0.1:99999/d", "must be a number from 1 to 65535"),
        ("postgresql://127.0.0.1:5432,127.0.0.2:0/d", "must be a number from 1 to 65535"),
    ],
)
def test_a_malformed_database_url_is_named_in_one_line_without_its_password(
    tmp_path: Path, url: str, said: str
) -> None:
    done = command(tmp_path / "data", "documents", "list", DATABASE_URL=url)
    assert done.returncode == 2
    line = _one_line(done.stderr)
    assert said in line
    assert "secret" not in line


def test_several_hosts_are_a_database_url(tmp_path: Path) -> None:
    done = command(tmp_path / "data", "documents", "list", DATABASE_URL="postgresql://127.0.0.1:1,127.0.0.1:2/d")
    assert done.returncode == 8, done.stderr


@pytest.mark.parametrize("arguments", [["version"], ["version", "--json"], ["--help"], ["settings"]], ids=" ".join)
def test_output_that_cannot_be_written_is_said_in_one_line(tmp_path: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = _run(["-m", "groundwork", *arguments], tmp_path, stdout=full)
    assert done.returncode == 8
    assert "could not be written: No space left on device" in _one_line(done.stderr)


@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["settings"]], ids=" ".join)
def test_a_reader_that_leaves_ends_the_command_quietly(tmp_path: Path, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        done = _run(["-m", "groundwork", *arguments], tmp_path, stdout=gone)
    assert done.stderr == ""
    assert done.returncode in {1, 141}


def test_what_nobody_foresaw_is_one_line_that_calls_itself_a_defect(tmp_path: Path) -> None:
    done = _run(["-c", _BOOM], tmp_path)
    assert done.returncode == 70
    line = _one_line(done.stderr)
    assert "RuntimeError: the flux is not." in line
    assert "defect" in line


def test_the_traceback_of_a_defect_is_there_for_who_asks(tmp_path: Path) -> None:
    done = _run(["-c", _BOOM], tmp_path, LOG_LEVEL="debug")
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "defect" in done.stderr


def test_documents_are_listed_by_a_status_there_is(tmp_path: Path) -> None:
    done = command(tmp_path / "data", "documents", "list", "--status", "bogus", DATABASE_URL=_UNREACHABLE)
    assert done.returncode == 2
    for status in ("pending", "ready", "failed"):
        assert status in done.stderr


def _run(
    arguments: list[str], data_dir: Path, stdout: object = subprocess.PIPE, **settings: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(data_dir, **settings) | {"PYTHONUNBUFFERED": ""},  # as a person has it: written out at the end
        stdout=stdout,  # type: ignore[call-overload]
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
