"""Processes that use an embedded PostgreSQL, to be watched and killed; run as a program it is one of them.

python embedded_process.py hold DIR     starts or joins, says the URL, lets go when its input ends
python embedded_process.py write DIR    the same, and inserts 1, 2, 3 ... saying each number once it is committed
python embedded_process.py fork DIR     starts, leaves a forked child behind and ends without letting go
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

import groundwork
from groundwork.errors import GroundworkError
from groundwork.store.embedded import EmbeddedServer

_SOURCE = str(Path(groundwork.__file__).resolve().parent.parent)
_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
# The interpreter and the checkout may lie where other users cannot look: reading is allowed, writing is not.
_MAY_READ = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]


class Client:
    """A process of its own that uses the server of a data directory."""

    def __init__(self, what: str, data_dir: Path, *, as_nobody: bool = False) -> None:
        command = [sys.executable, str(Path(__file__)), what, str(data_dir)]
        self.process = subprocess.Popen(
            [*_NOBODY, *_MAY_READ, *command] if as_nobody else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": _SOURCE},
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line.strip())

    def first_word(self, timeout: float = 60.0) -> str:
        """What it said first: the URL, or why it could not start."""
        wait_until(lambda: bool(self.said) or self.process.poll() is not None, timeout)
        return self.said[0] if self.said else f"ended with code {self.process.returncode}"

    def numbers(self) -> list[int]:
        """What it has committed."""
        return [int(line) for line in list(self.said)[1:]]

    def finish(self) -> int:
        """Ends it in an orderly way and answers its exit status."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        code = self.process.wait(30)
        self._reader.join(10)
        self.process.stdout.close()
        return code

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.finish()


def wait_until(condition: Callable[[], bool], timeout: float = 15.0) -> bool:
    """Whether a condition came true in time (seconds)."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def keepers(data_dir: Path) -> set[int]:
    """Keepers of a data directory."""
    wanted = f"groundwork.store.keeper\0{data_dir}\0".encode()
    return {pid for pid in _pids() if wanted in _read(Path(f"/proc/{pid}/cmdline"))}


def postgres_processes(data_dir: Path) -> set[int]:
    """Every PostgreSQL process at work in a data directory, whatever its parent."""
    return {pid for pid in _pids() if _working_directory(pid) in (data_dir / "postgres", data_dir / "postgres.new")}


def extractors(parent: int) -> set[int]:
    """The processes in which the process `parent` reads files."""
    return {
        pid
        for pid in _pids()
        if _parent(pid) == parent and b"groundwork.ingest.child" in _read(Path(f"/proc/{pid}/cmdline"))
    }


def postmaster(data_dir: Path) -> int:
    """The first process of the running PostgreSQL; 0 when there is none."""
    lines = _read(data_dir / "postgres" / "postmaster.pid").split()
    return int(lines[0]) if lines and int(lines[0]) in postgres_processes(data_dir) else 0


def all_gone(data_dir: Path, timeout: float = 15.0) -> bool:
    """Whether keeper and PostgreSQL of a data directory end in time (seconds)."""
    return wait_until(lambda: not keepers(data_dir) | postgres_processes(data_dir), timeout)


def kill(pids: set[int]) -> None:
    """kill -9 to all that are still there."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    after = _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
    return int(after[1]) if after else 0


def _working_directory(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def _say(text: str) -> None:
    print(text, flush=True)


def _write(url: str, ended: threading.Event) -> None:
    number = 1
    while not ended.is_set():
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS kept (writer int, number int, PRIMARY KEY (writer, number))"
                )
                while not ended.is_set():
                    insert = "INSERT INTO kept VALUES (%s, %s) ON CONFLICT DO NOTHING"
                    connection.execute(insert, (os.getpid(), number))
                    _say(str(number))
                    number += 1
                    time.sleep(0.002)
        except psycopg.Error:
            time.sleep(0.05)


def main(what: str, data_dir: Path) -> int:
    """Runs one of the roles above."""
    server = EmbeddedServer(data_dir, 60.0, durable=False)
    try:
        url = server.start()
    except GroundworkError as error:
        _say(f"{type(error).__name__}: {error}".replace("\n", " "))
        return 1
    _say(url)
    if what == "fork":
        if os.fork() == 0:
            os.closerange(0, 3)
            time.sleep(6)
        os._exit(0)
    ended = threading.Event()
    writer = threading.Thread(target=_write, args=(url, ended)) if what == "write" else None
    if writer:
        writer.start()
    sys.stdin.read()
    ended.set()
    if writer:
        writer.join()
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
