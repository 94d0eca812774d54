"""Running `groundwork` as a person does, and the memory of everything it starts."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

_EVERY_SECONDS = 0.25


class Memory:
    """The most memory that a process, what it started, and whatever names `place` took while the `with` ran."""

    def __init__(self, pid: int, place: str) -> None:
        self.peak_mib = 0.0
        self._pid = pid
        self._place = place.encode()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(_EVERY_SECONDS):
            self.peak_mib = max(self.peak_mib, sum(map(_pss_kib, self._processes())) / 1024)

    def _processes(self) -> set[int]:
        parents: dict[int, int] = {}
        ours = {self._pid}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if self._place in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                    ours.add(int(folder.name))
            except (OSError, ValueError, IndexError):
                continue
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in ours} - ours
            ours |= more
            grown = bool(more)
        return ours


def groundwork(data_dir: Path, *arguments: str) -> tuple[Any, float]:
    """What `groundwork ... --json` printed, and the most memory in MiB it and all it started took, shared pages once.

    Raises RuntimeError when it did not end well.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "groundwork", *arguments, "--json"],
            env={**os.environ, "GROUNDWORK_DATA_DIR": str(data_dir)},
            stdout=out,
            stderr=said,
        )
        with Memory(process.pid, str(data_dir)) as memory:
            status = process.wait()
        out.seek(0)
        said.seek(0)
        text = out.read().decode()
        # A document that failed is an outcome and not an error.
        if not text.strip():
            raise RuntimeError(f"groundwork ended with {status}: {said.read().decode(errors='replace')[-2000:]}")
    return json.loads(text), memory.peak_mib


def _pss_kib(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0
