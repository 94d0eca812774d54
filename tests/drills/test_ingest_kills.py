"""`kill -9` of an ingest at random moments: nothing half visible, nothing twice, and the next run finishes the work."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from groundwork.store.embedded import EmbeddedServer
from plugins.installation import write
from plugins.service import command_json, environment

_DOCUMENTS = 120
_HALF_VISIBLE = """
SELECT d.uri FROM documents d LEFT JOIN document_versions v ON v.id = d.live_version
WHERE d.status = 'ready' AND (
    v.id IS NULL
    OR (SELECT count(*) FROM chunks c WHERE c.document_id = d.id) <> (SELECT count(*) FROM chunks c
        JOIN chunk_embeddings e ON e.chunk_id = c.id WHERE c.document_id = d.id AND c.version_id = d.live_version)
    OR NOT EXISTS (SELECT 1 FROM chunks c WHERE c.document_id = d.id)
    OR EXISTS (SELECT 1 FROM chunks c WHERE c.document_id = d.id
        AND c.text <> substring(v.text FROM c.start_char + 1 FOR c.end_char - c.start_char)))
"""


def _library(folder: Path) -> Path:
    chance = random.Random(3)
    words = [f"word{n}" for n in range(400)]
    return write(
        folder,
        {
            f"{n:03}.md": f"# Document {n}\n\n"
            + "\n\n".join(" ".join(chance.choices(words, k=150)) + "." for _ in range(4))
            for n in range(_DOCUMENTS)
        },
    )


@pytest.mark.parametrize("seed", range(4))
def test_an_ingest_killed_at_any_moment_is_finished_by_the_next(data_dir: Path, tmp_path: Path, seed: int) -> None:
    folder = _library(tmp_path / "library")
    chance = random.Random(seed)
    with EmbeddedServer(data_dir, durable=False) as server:
        for _ in range(5):
            _ingest_and_kill(data_dir, folder, chance.uniform(0.6, 3.0))
            assert _half_visible(server.url) == []
        report = command_json(data_dir, "ingest", str(folder))
        assert report["failed"] == 0
        assert report["added"] + report["updated"] + report["unchanged"] == _DOCUMENTS
        assert _half_visible(server.url) == []
        with psycopg.connect(server.url) as connection:
            uris = connection.execute("SELECT count(*), count(DISTINCT uri) FROM documents").fetchone()
            chunks = connection.execute("SELECT count(*) FROM chunks").fetchone()
        assert uris == (_DOCUMENTS, _DOCUMENTS)
        assert command_json(data_dir, "rebuild") == {"lexical": (chunks or [0])[0]}
        again = command_json(data_dir, "ingest", str(folder))
        assert (again["unchanged"], again["embedded"]) == (_DOCUMENTS, 0)


def test_the_lexical_index_is_whole_after_a_kill(data_dir: Path, tmp_path: Path) -> None:
    folder = _library(tmp_path / "library")
    _ingest_and_kill(data_dir, folder, 2.5)
    command_json(data_dir, "ingest", str(folder))
    for number in (0, 57, _DOCUMENTS - 1):
        found = command_json(data_dir, "search", f"Document {number}", "--mode", "lexical")
        assert any(passage["uri"].endswith(f"/{number:03}.md") for passage in found["passages"])


def _ingest_and_kill(data_dir: Path, folder: Path, after: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "groundwork", "ingest", str(folder)],
        env=environment(data_dir),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _half_visible(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('documents')").fetchone() == (None,):
            return []
        return [row[0] for row in connection.execute(_HALF_VISIBLE)]
