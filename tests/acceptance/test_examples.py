"""The examples people copy: the shell blocks of README.md and docs/http.md, and all of docs/openai.md, do what they say."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundwork.store.embedded import EmbeddedServer
from plugins.installation import write
from plugins.service import command, command_json, environment, service

ROOT = Path(__file__).parents[2]
LEAVE = "There are sixteen weeks of parental leave for each parent."
KEEPER = "The keeper stops PostgreSQL when nobody uses it any more."
HANDBOOK = f"# Handbook\n\n## Leave\n\n{LEAVE}\n\n## Operations\n\n{KEEPER}\n"
PASSWORD = "correct horse battery"
DOCUMENTED = "http://127.0.0.1:8000"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OVER_HTTP = ("README.md", "docs/http.md", "docs/openai.md")


def _blocks(page: str, *, speaking_of: str) -> Iterator[str]:
    """The shell blocks of a page in which every command is of that program."""
    for block in _BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        lines = block.replace("\\\n", "").strip().splitlines()
        if all(line.startswith(speaking_of + " ") for line in lines):
            yield block


def _shell(block: str, home: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=home,
        env={**os.environ, "HOME": str(home), **more},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def _home(folder: Path) -> Path:
    """A person's home: a handbook, judged questions, and `groundwork` in `bin`."""
    write(folder / "handbook", {"handbook.md": HANDBOOK})
    write(folder, {"handbook.md": HANDBOOK})
    (folder / "questions" / "qrels").mkdir(parents=True)
    (folder / "questions" / "corpus.jsonl").write_text(json.dumps({"_id": "d", "title": "Leave", "text": HANDBOOK}))
    (folder / "questions" / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "parental leave"}))
    (folder / "questions" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    program = folder / "bin" / "groundwork"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m groundwork "$@"\n')
    program.chmod(0o755)
    return folder


def test_the_commands_of_the_readme_work(data_dir: Path, tmp_path: Path) -> None:
    home = _home(tmp_path / "home")
    variables = {key: value for key, value in environment(data_dir).items() if key.startswith("GROUNDWORK_")}
    variables["PATH"] = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    blocks = [block for block in _blocks("README.md", speaking_of="groundwork") if "groundwork serve" not in block]
    assert {"ingest", "search", "ask", "eval", "rebuild"} <= set(
        re.findall(r"^groundwork (\w+)", "".join(blocks), re.M)
    )
    with EmbeddedServer(data_dir, durable=False):  # so that not every command starts it
        done = [_shell(block, home, **variables) for block in blocks]
    for each in done:
        assert each.returncode == 0, each.stderr
    output = "".join(each.stdout for each in done)
    assert f"{LEAVE} [1]" in output
    assert "ndcg@10          1.0" in output


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_requests_of_the_documents_work(data_dir: Path, tmp_path: Path) -> None:
    home = _home(tmp_path / "home")
    (home / ".curlrc").write_text("fail-with-body\n")  # an error over HTTP ends the block
    assert command(data_dir, "ingest", str(home / "handbook")).returncode == 0
    document = command_json(data_dir, "documents", "list")["items"][0]
    names = {"CURL_HOME": str(home), "DOCUMENT": document["id"], "VERSION": document["version"]}
    blocks = [block for page in _OVER_HTTP for block in _blocks(page, speaking_of="curl")]
    assert len(blocks) >= 7
    assert command(data_dir, "users", "add", "ada", "--prompt", typed=f"{PASSWORD}\n").returncode == 0
    with service(data_dir) as running:
        names |= {"KEY": running.key, "PASSWORD": PASSWORD}
        for block in blocks:
            assert DOCUMENTED in block
            done = _shell(block.replace(DOCUMENTED, running.url), home, **names)
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
            for asked, told in (("How many weeks", LEAVE), ("When does the keeper", KEEPER)):
                assert asked not in block or f"{told} [1]" in done.stdout
        programs = _PYTHON.findall((ROOT / "docs" / "openai.md").read_text(encoding="utf-8"))
        assert len(programs) == 2
        for program in programs:
            assert DOCUMENTED in program
            told = _run(program.replace(DOCUMENTED, running.url), home, KEY=running.key)
            assert told.startswith(f"{LEAVE} [1]\n[1] Handbook: {LEAVE}\n"), told


def _run(program: str, home: Path, **more: str) -> str:
    """What a program in Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=home,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
