"""Readers of files killed in the middle of a batch: once costs nothing, twice the file being read until the next sync."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from groundwork.assembly import Platform
from plugins.installation import Run, ingest

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")

_GOOD = 12
_SLOW = b"<p>" + b"<i>word</i> " * 300_000


def _readers() -> dict[int, float]:
    """Processes of ours that read files, and the seconds of processor each has used."""
    found: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            after = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(after[1]) == os.getpid() and b"groundwork.ingest.child" in (entry / "cmdline").read_bytes():
                found[int(entry.name)] = (int(after[11]) + int(after[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return found


async def _kill_the_busy_one(times: int) -> None:
    """Kills the reader that has worked for a second, which only the slow file makes it do."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for pid, seconds in _readers().items():
            if seconds > 1:
                os.kill(pid, signal.SIGKILL)
                times -= 1
                if not times:
                    return
        await asyncio.sleep(0.05)
    raise AssertionError("no reader was busy")


def _library(folder: Path) -> Path:
    folder.mkdir()
    for number in range(_GOOD):
        (folder / f"{number:02}.html").write_bytes(b"<p>Words of page %d." % number)
    (folder / "05-slow.html").write_bytes(_SLOW)
    return folder


def test_a_reader_killed_once_costs_nothing(run: Run[Any], tmp_path: Path) -> None:
    folder = _library(tmp_path / "library")

    async def work(platform: Platform) -> dict[str, Any]:
        report, _ = await asyncio.gather(ingest(platform, folder), _kill_the_busy_one(1))
        return report

    report = run(work)
    assert (report["added"], report["failed"]) == (_GOOD + 1, 0)


def test_readers_killed_again_cost_one_document_and_the_next_sync_reads_it(run: Run[Any], tmp_path: Path) -> None:
    folder = _library(tmp_path / "library")

    async def work(platform: Platform) -> tuple[dict[str, Any], dict[str, Any]]:
        report, _ = await asyncio.gather(ingest(platform, folder), _kill_the_busy_one(2))
        return report, await ingest(platform, folder)

    first, second = run(work)
    assert (first["added"], first["failed"]) == (_GOOD, 1)
    (failure,) = first["failures"]
    assert failure["uri"].endswith("/05-slow.html")
    assert "reader ended abruptly (SIGKILL)" in failure["error"]
    assert (second["unchanged"], second["failed"]) == (_GOOD, 0)
    assert second["added"] + second["updated"] == 1
