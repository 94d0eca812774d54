"""`kill -9` of workers and of PostgreSQL during a sync: everything is there once, nothing was paid for twice, no hand."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from groundwork.store.embedded import EmbeddedServer
from plugins.embedded_process import postgres_processes
from plugins.embedding_server import EmbeddingServer, serve_embeddings
from plugins.installation import write
from plugins.service import command_json, environment

_DOCUMENTS = 150
_ONE_BATCH = 256


def _library(folder: Path) -> Path:
    chance = random.Random(11)
    words = [f"term{n}" for n in range(500)]
    return write(
        folder,
        {
            f"{n:03}.md": f"# Report {n}\n\n"
            + "\n\n".join(" ".join(chance.choices(words, k=120)) + "." for _ in range(4))
            for n in range(_DOCUMENTS)
        },
    )


def _settings(server: EmbeddingServer) -> dict[str, str]:
    return {
        "EMBEDDER__KIND": "openai",
        "EMBEDDER__URL": server.url,
        "EMBEDDER__MODEL": "test-model",
        "EMBEDDER__DIMENSION": "384",
    }


@contextmanager
def _worker(data_dir: Path, settings: dict[str, str]) -> Generator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "groundwork", "serve", "--role", "worker"],
        env=environment(data_dir, **settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def _job(data_dir: Path, job_id: str, settings: dict[str, str]) -> dict[str, Any]:
    return command_json(data_dir, "jobs", "show", job_id, **settings)


def _await_end(url: str, job_id: str) -> str:
    deadline = time.monotonic() + 80
    status = "unknown"
    while time.monotonic() < deadline:
        try:
            with psycopg.connect(url, connect_timeout=2) as connection:
                row = connection.execute(
                    "SELECT q.status::text FROM jobs j JOIN procrastinate_jobs q ON q.id = j.queue_id WHERE j.id = %s",
                    (job_id,),
                ).fetchone()
            status = row[0] if row else "gone"
            if status in {"succeeded", "failed", "cancelled"}:
                return status
        except psycopg.OperationalError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"the job did not end by itself within 80 s; it is {status}")


def _check_all_there(url: str) -> None:
    with psycopg.connect(url) as connection:
        documents = connection.execute(
            "SELECT count(*), count(DISTINCT uri), count(*) FILTER (WHERE status = 'ready') FROM documents"
        ).fetchone()
        lonely = connection.execute(
            "SELECT count(*) FROM chunks c LEFT JOIN chunk_embeddings e ON e.chunk_id = c.id WHERE e.chunk_id IS NULL"
        ).fetchone()
        doubled = connection.execute(
            "SELECT count(*) FROM (SELECT document_id, ordinal FROM chunks GROUP BY 1, 2 HAVING count(*) > 1) AS twice"
        ).fetchone()
    assert documents == (_DOCUMENTS, _DOCUMENTS, _DOCUMENTS)
    assert lonely == doubled == (0,)


def _embedded_again(server: EmbeddingServer) -> int:
    passages = Counter(text for text in server.texts() if text.startswith("Report"))
    return sum(count - 1 for count in passages.values())


def test_killed_workers_lose_nothing_and_pay_for_no_chunk_twice(data_dir: Path, tmp_path: Path) -> None:
    folder = _library(tmp_path / "library")
    chance = random.Random(5)
    with serve_embeddings() as server, EmbeddedServer(data_dir, durable=False) as database:
        server.delay_seconds = 0.6
        settings = _settings(server)
        command_json(data_dir, "sources", "add", "library", str(folder), **settings)
        job = command_json(data_dir, "sources", "sync", "library", "--detach", **settings)
        kills = 3
        for _ in range(kills):
            with _worker(data_dir, settings) as worker:
                time.sleep(chance.uniform(2.0, 4.0))
                worker.send_signal(signal.SIGKILL)
                worker.wait()
        with _worker(data_dir, settings):
            assert _await_end(database.url, job["id"]) == "succeeded"
        _check_all_there(database.url)
        assert _embedded_again(server) <= kills * _ONE_BATCH
        shown = _job(data_dir, job["id"], settings)
        assert shown["attempts"] <= kills + 1
        assert shown["result"]["failed"] == 0


def test_a_killed_postgresql_is_waited_for(data_dir: Path, tmp_path: Path) -> None:
    folder = _library(tmp_path / "library")
    with serve_embeddings() as server, EmbeddedServer(data_dir, durable=False) as database:
        server.delay_seconds = 0.4
        settings = _settings(server)
        command_json(data_dir, "sources", "add", "library", str(folder), **settings)
        job = command_json(data_dir, "sources", "sync", "library", "--detach", **settings)
        with _worker(data_dir, settings):
            for _ in range(2):
                time.sleep(3.0)
                for pid in postgres_processes(data_dir):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
            assert _await_end(database.url, job["id"]) == "succeeded"
        _check_all_there(database.url)
        assert _embedded_again(server) <= 2 * _ONE_BATCH


def test_a_killed_command_line_is_taken_over_by_the_next_one(data_dir: Path, tmp_path: Path) -> None:
    folder = _library(tmp_path / "library")
    with serve_embeddings() as server, EmbeddedServer(data_dir, durable=False) as database:
        server.delay_seconds = 0.4
        settings = _settings(server)
        first = subprocess.Popen(
            [sys.executable, "-m", "groundwork", "ingest", str(folder)],
            env=environment(data_dir, **settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(4.0)
        first.kill()
        first.wait()
        report = command_json(data_dir, "ingest", str(folder), **settings)
        assert report["found"] == _DOCUMENTS
        jobs = command_json(data_dir, "jobs", "list", **settings)["items"]
        assert [each["status"] for each in jobs] == ["succeeded"], "it went on with the same job"
        _check_all_there(database.url)
        assert _embedded_again(server) <= _ONE_BATCH
