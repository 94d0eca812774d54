"""Changing the embedding model of a running service: no search fails, and a killed build pays for nothing twice."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from groundwork.spaces.fill import BATCH
from groundwork.store.embedded import EmbeddedServer
from plugins.embedding_server import serve_embeddings
from plugins.installation import write
from plugins.service import Service, command, command_json, environment, service

DOCUMENTS = 200
QUESTION = {"query": "what of subject7 and subject8", "mode": "dense", "limit": 5}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return write(tmp_path / "library", {f"{n}.md": f"Note {n} tells of subject{n} only.\n" for n in range(DOCUMENTS)})


def _scores(running: Service) -> list[float]:
    reply = running.call("POST", "/api/v1/search", QUESTION)
    assert reply.status == 200, reply.content
    return [passage["scores"]["dense"] for passage in reply.body["passages"]]


def _ended(running: Service, job: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job = running.call("GET", f"/api/v1/jobs/{job['id']}").body
        if job["status"] in {"succeeded", "failed", "cancelled"}:
            return job
        time.sleep(0.1)
    raise AssertionError(f"the job did not end within 60 s: {job}")


def _comes_true(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def server(data_dir: Path) -> Generator[EmbeddedServer]:
    """PostgreSQL of the test, which runs from the first command to the last."""
    with EmbeddedServer(data_dir, durable=False) as running:
        yield running


@contextmanager
def _searching(services: list[Service]) -> Generator[dict[str, int]]:
    """Four threads that search without pause, each in one of the services; counts of answers and failures."""
    counts = {"answered": 0, "failed": 0}
    ended = threading.Event()

    def search(running: Service, number: int) -> None:
        while not ended.is_set():
            number += 4
            body = {"query": f"what of subject{number % DOCUMENTS}", "mode": ("hybrid", "dense")[number // 4 % 2]}
            reply = running.call("POST", "/api/v1/search", body)
            counts["answered" if reply.status == 200 and reply.body["passages"] else "failed"] += 1

    threads = [threading.Thread(target=search, args=(services[n % len(services)], n)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.usefixtures("server")
def test_no_search_fails_while_the_model_is_changed_and_changed_back(data_dir: Path, library: Path) -> None:
    unlimited = {"LIMITS__SEARCH_PER_MINUTE": "0"}
    with service(data_dir, **unlimited) as one, service(data_dir, **unlimited) as two:
        command_json(data_dir, "ingest", str(library))
        before = _scores(one)
        with _searching([one, two]) as counts:
            time.sleep(0.5)
            new = {"name": "wide", "kind": "hashing", "dimension": 1024}
            assert one.call("POST", "/api/v1/spaces", new).status == 201
            assert one.call("POST", "/api/v1/spaces/wide/switch").status == 409
            job = one.call("POST", "/api/v1/spaces/wide/build")
            assert (job.status, job.body["kind"]) == (202, "space_build")
            write(library, {f"{n}.md": f"Note {n} tells of subject{n} only.\n" for n in range(DOCUMENTS + 40)})
            command_json(data_dir, "ingest", str(library))
            assert _ended(one, job.body)["result"]["status"] == "ready"

            assert one.call("POST", "/api/v1/spaces/wide/switch").body["missing"] == 0
            assert _scores(one) != before
            after = _scores(one)
            assert _comes_true(lambda: _scores(two) == after, 2)
            time.sleep(0.5)
            assert command_json(data_dir, "spaces", "switch", "hashing")["status"] == "live"
            assert _comes_true(lambda: _scores(one) == before and _scores(two) == before, 2)
            time.sleep(0.5)
        assert counts["failed"] == 0
        assert counts["answered"] > 100

        assert one.call("DELETE", "/api/v1/spaces/hashing").status == 409
        dropped = _ended(one, one.call("DELETE", "/api/v1/spaces/wide").body)
        assert dropped["result"] == {"name": "wide", "removed": DOCUMENTS + 40}
        assert one.call("GET", "/api/v1/spaces/wide").status == 404
        assert [each["name"] for each in one.call("GET", "/api/v1/spaces").body["items"]] == ["hashing"]
        assert _scores(two) == before


@pytest.mark.usefixtures("server")
def test_a_killed_build_goes_on_where_it_was(data_dir: Path, library: Path) -> None:
    command_json(data_dir, "ingest", str(library))
    with serve_embeddings() as server:
        asked = ["--kind", "openai", "--url", server.url, "--model", "test-model", "--dimension", "384"]
        assert command_json(data_dir, "spaces", "create", "remote", *asked)["missing"] == DOCUMENTS
        server.delay_seconds = 0.3
        killed = subprocess.Popen(
            [sys.executable, "-m", "groundwork", "spaces", "build", "remote"],
            env=environment(data_dir),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert _comes_true(lambda: len(_notes(server.texts())) > 2 * BATCH, 30)
        killed.kill()
        killed.wait()
        assert command(data_dir, "spaces", "switch", "remote").returncode == 5

        server.delay_seconds = 0
        report = command_json(data_dir, "spaces", "build", "remote")
        assert (report["status"], report["missing"]) == ("ready", 0)
        assert report["embedded_now"] < DOCUMENTS
        texts = _notes(server.texts())
        assert len(set(texts)) == DOCUMENTS
        assert len(texts) <= DOCUMENTS + BATCH  # what was under way when it was killed, and no more

        assert command_json(data_dir, "spaces", "switch", "remote")["status"] == "live"
        found = command_json(data_dir, "search", "subject7", "--mode", "dense")
        assert any(passage["uri"].endswith("/7.md") for passage in found["passages"])
        listed = command(data_dir, "spaces", "list")
        assert "retired" in listed.stdout
        assert command(data_dir, "spaces", "drop", "remote", "--yes").returncode == 5
        assert command_json(data_dir, "spaces", "drop", "hashing", "--yes")["removed"] == DOCUMENTS


def _notes(texts: list[str]) -> list[str]:
    return [text for text in texts if "subject" in text and "Note" in text]
