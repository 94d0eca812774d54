"""Workers, extractors and PostgreSQL killed with `kill -9`, again and again at random, during one sync of many documents.

Afterwards everything must be there once, no passage embedded more than a batch a kill again, and nothing have needed a
hand. The embedding server is the test kit's own, which counts what it is asked.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psycopg

from drills import Result
from groundwork.store.embedded import EmbeddedServer

_TESTS = Path(__file__).resolve().parents[1] / "tests"
_BATCH = 64
"""What one request to the embedding server holds: all that a kill may cost."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of this drill."""
    parser.add_argument("--kills", type=int, default=30, help="how often something is killed (default: 30)")
    parser.add_argument("--documents", type=int, default=500, help="documents in the sync (default: 500)")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds an embedding request takes (default: 0.5)")


def run(options: argparse.Namespace) -> Result:
    """The drill."""
    sys.path.insert(0, str(_TESTS))
    from plugins.embedded_process import extractors, postgres_processes
    from plugins.embedding_server import serve_embeddings
    from plugins.service import command_json, environment

    chance = random.Random(30)
    with tempfile.TemporaryDirectory(prefix="groundwork-drill-") as root, serve_embeddings() as server:
        Path(root).chmod(0o711)
        data_dir, library = Path(root) / "data", Path(root) / "library"
        _write(library, options.documents, chance)
        server.delay_seconds = options.delay
        settings = {
            "EMBEDDER__KIND": "openai",
            "EMBEDDER__URL": server.url,
            "EMBEDDER__MODEL": "test",
            "EMBEDDER__DIMENSION": "384",
        }
        with EmbeddedServer(data_dir) as database:
            command_json(data_dir, "sources", "add", "library", str(library), **settings)
            job = command_json(data_dir, "sources", "sync", "library", "--detach", **settings)
            killed: Counter[str] = Counter()
            began = time.monotonic()
            while sum(killed.values()) < options.kills and _status(database.url, job["id"]) not in {
                "succeeded",
                "failed",
            }:
                worker = _worker(environment(data_dir, **settings))
                for _ in range(chance.randint(1, 2)):
                    time.sleep(chance.uniform(1.0, 3.0))
                    what = chance.choice(["worker", "extractor", "postgresql"])
                    victims = {"worker": {worker.pid}, "extractor": extractors(worker.pid)}
                    _kill(victims[what] if what in victims else postgres_processes(data_dir))
                    killed[what] += 1
                worker.kill()
                worker.wait()
            worker = _worker(environment(data_dir, **settings))
            status = _await_end(database.url, job["id"])
            worker.terminate()
            worker.wait(30)
            shown = command_json(data_dir, "jobs", "show", job["id"], **settings)
            check = command_json(data_dir, "check", **settings)
            ready = command_json(data_dir, "collections", "show", "default", **settings)["documents"]
    passages = Counter(text for text in server.texts() if "term" in text)
    again = sum(count - 1 for count in passages.values())
    problems = [
        *([] if status == "succeeded" else [f"the job ended {status}: {shown['error']}"]),
        *([] if ready == options.documents else [f"{ready} of {options.documents} documents are there"]),
        *([] if again <= _BATCH * sum(killed.values()) else [f"{again} passages were embedded again"]),
        *([] if not any(each.get("left") for each in check["checks"]) else [f"check: {check}"]),
    ]
    figures = {
        "documents": ready,
        "passages": len(passages),
        "killed": dict(killed),
        "attempts": shown["attempts"],
        "embedded_again": again,
        "seconds": round(time.monotonic() - began, 1),
    }
    return Result(figures, problems)


def _write(folder: Path, documents: int, chance: random.Random) -> None:
    words = [f"term{n}" for n in range(800)]
    folder.mkdir()
    for n in range(documents):
        parts = "\n\n".join(" ".join(chance.choices(words, k=120)) + "." for _ in range(4))
        if n % 2:
            (folder / f"{n:04}.md").write_text(f"# Report {n}\n\n{parts}\n")
        else:  # read by the extractor
            (folder / f"{n:04}.html").write_text(f"<title>Report {n}</title><h1>Report {n}</h1><p>{parts}</p>")


def _worker(environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "groundwork", "serve", "--role", "worker"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(processes: set[int]) -> None:
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _status(url: str, job_id: str) -> str:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(
                "SELECT q.status::text FROM jobs j JOIN procrastinate_jobs q ON q.id = j.queue_id WHERE j.id = %s",
                (job_id,),
            ).fetchone()
        return row[0] if row else "gone"
    except psycopg.OperationalError:
        return "unknown"


def _await_end(url: str, job_id: str) -> str:
    deadline = time.monotonic() + 180
    while (status := _status(url, job_id)) not in {"succeeded", "failed", "cancelled"} and time.monotonic() < deadline:
        time.sleep(0.3)
    return status
