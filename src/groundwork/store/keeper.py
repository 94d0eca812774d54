"""The process that owns the embedded PostgreSQL: `python -m groundwork.store.keeper DIRECTORY [--not-durable]`.

Groundwork processes start it when it is missing and hold `run/lease` while they use the server. The keeper starts
PostgreSQL as its child, starts it again when it dies, and stops it when nobody holds the lease any more. Every lock is
the kernel's, so any of these processes may be killed at any moment. It imports little: it is in the way of every start.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from groundwork.errors import GroundworkError, StoreUnavailable
from groundwork.store.binaries import binary, signal_quietly, spawn
from groundwork.store.cluster import explained, prepare_cluster
from groundwork.store.layout import Layout, Lock, tail

_POLL = 0.05  # seconds
_RACE = 0.5  # seconds to try for the keeper's lock: a client may be looking at it just now
_LEFTOVER = 3.0  # seconds the processes of a former server get to end by themselves
_FAST, _AT_ONCE = 60.0, 10.0  # seconds a shutdown may take before the next harder way
_ASKED_TO_STOP = 20.0  # seconds clients get after SIGTERM to let go
_QUICK_FAILURES = 4  # starts without becoming ready before giving up
_LOG_BYTES = 8 << 20
_LOG_CHECK = 60.0  # seconds


class Keeper:
    """Runs PostgreSQL for one data directory for as long as anybody uses it."""

    def __init__(self, layout: Layout, *, durable: bool = True) -> None:
        self._layout = layout
        self._durable = durable
        self._lease = Lock(layout.lease)
        self._stop_at: float | None = None
        self._next_log_check = 0.0

    def run(self) -> None:
        """Returns when nobody needs the server. Raises GroundworkError when PostgreSQL cannot be kept running."""
        failures = 0
        while not self._finished():
            server = self._start()
            ready = self._watch(server)
            if server.returncode is None:
                self._stop(server)
                break
            _say(f"PostgreSQL ended by itself, code {server.returncode}")
            failures = 0 if ready else failures + 1
            if failures >= _QUICK_FAILURES:
                raise StoreUnavailable(
                    f"PostgreSQL did not start ({failures} attempts). The last lines of {self._layout.server_log}:\n"
                    f"{tail(self._layout.server_log)}"
                )
            time.sleep(0.1 * 2**failures)
        if self._layout.socket_dir.parent != self._layout.run:
            with contextlib.suppress(OSError):
                self._layout.socket_dir.rmdir()

    def ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Stops when the clients have let go, or after a while without waiting for them (SIGTERM)."""
        self._stop_at = time.monotonic() + _ASKED_TO_STOP

    def _finished(self) -> bool:
        """Whether nobody uses the server; from then on the lease is ours and nobody begins to."""
        return self._lease.take() or (self._stop_at is not None and time.monotonic() > self._stop_at)

    def _start(self) -> subprocess.Popen[bytes]:
        self._limit_log()
        lock = self._server_lock()
        try:
            prepare_cluster(self._layout, durable=self._durable, lock_fd=lock.fd)
            _drop_foreign_pid_files(self._layout)
            with explained(self._layout.root), self._layout.server_log.open("ab") as log:
                command = [binary("postgres"), "-D", self._layout.pgdata]
                # SIGINT is PostgreSQL's fast shutdown.
                server = spawn(command, log, with_parent=signal.SIGINT, keep=[lock.fd])
        finally:
            lock.close()  # from here on only PostgreSQL holds it
        _say(f"PostgreSQL started, process {server.pid}")
        return server

    def _server_lock(self) -> Lock:
        """The lock PostgreSQL inherits; waits for processes of a former server, whose keeper was killed."""
        lock = Lock(self._layout.server_lock)
        begun = time.monotonic()
        while not lock.take():
            age = time.monotonic() - begun
            if age > _LEFTOVER:
                _stop_leftovers(self._layout, harder=age > _LEFTOVER + _FAST)
            time.sleep(_POLL)
        return lock

    def _watch(self, server: subprocess.Popen[bytes]) -> bool:
        """Waits until the server ends or nobody needs it; answers whether it ever became ready."""
        ready = False
        while server.poll() is None:
            ready = ready or _is_ready(self._layout.pgdata, server.pid)
            if self._finished():
                break
            if time.monotonic() > self._next_log_check:
                self._limit_log()
            time.sleep(_POLL)
        return ready

    def _stop(self, server: subprocess.Popen[bytes]) -> None:
        _say("nobody uses PostgreSQL any more: stopping it")
        for number, patience in ((signal.SIGINT, _FAST), (signal.SIGQUIT, _AT_ONCE), (signal.SIGKILL, _AT_ONCE)):
            signal_quietly(server.pid, number)
            try:
                server.wait(patience)
            except subprocess.TimeoutExpired:
                _say(f"PostgreSQL did not stop within {patience:.0f} s of {number.name}")
                continue
            _say("PostgreSQL stopped")
            return

    def _limit_log(self) -> None:
        """Keeps the server's log to two files; PostgreSQL appends, so it can be cut under its hands."""
        self._next_log_check = time.monotonic() + _LOG_CHECK
        log = self._layout.server_log
        with contextlib.suppress(OSError):
            if log.stat().st_size > _LOG_BYTES:
                shutil.copyfile(log, log.with_name(log.name + ".1"))
                os.truncate(log, 0)


def _is_ready(pgdata: Path, pid: int) -> bool:
    """Reads the status PostgreSQL keeps on the eighth line of its pid file."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _drop_foreign_pid_files(layout: Layout) -> None:
    """Removes pid files left by a crash whose number is now another program's, or a dead process nobody has reaped.

    PostgreSQL would refuse to start because of either. Both happen in containers, where numbers are small and come
    again, and the first process seldom reaps. A server started by hand works in this directory and is left alone.
    """
    for file in (layout.pgdata / "postmaster.pid", layout.socket_lock):
        with contextlib.suppress(OSError, ValueError, IndexError):
            process = Path("/proc") / str(int(file.read_text().splitlines()[0]))
            if process.is_dir() and _working_directory(process) != layout.pgdata:
                file.unlink()


def _working_directory(process: Path) -> Path | None:
    try:
        return (process / "cwd").readlink()
    except FileNotFoundError:  # a zombie has none
        return None


def _stop_leftovers(layout: Layout, *, harder: bool) -> None:
    """Stops the processes of a former server that hold its lock: found by what they have open, never by name."""
    number = signal.SIGKILL if harder else signal.SIGQUIT
    for pid in _holders(layout.server_lock):
        _say(f"process {pid} of a former PostgreSQL is still there: {number.name}")
        signal_quietly(pid, number)
    time.sleep(0.5)


def _holders(lock_file: Path) -> list[int]:
    if not Path("/proc/self/fd").is_dir():  # no such list on macOS, and no death signal: the postmaster was left
        pid_file = lock_file.parent.parent / "postgres" / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            return [int(pid_file.read_text().splitlines()[0])]
        return []
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and _has_open(pid, lock_file)]


def _has_open(pid: int, file: Path) -> bool:
    with contextlib.suppress(OSError):
        return any(fd.readlink() == file for fd in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _say(message: str) -> None:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    print(f"{moment} UTC [{os.getpid()}] {message}", file=sys.stderr, flush=True)


def _win(lock: Lock) -> bool:
    """Whether we are the keeper; another one may be, or be about to end."""
    deadline = time.monotonic() + _RACE
    while not lock.take():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def main(arguments: list[str]) -> int:
    """Runs a keeper; 0: not needed (any more), or another one is at work. 1: `run/keeper.failed` says why."""
    layout = Layout.of(Path(arguments[0]))
    lock = Lock(layout.keeper_lock)
    if not _win(lock):
        return 0
    os.umask(0o077)
    try:
        keeper = Keeper(layout, durable="--not-durable" not in arguments)
        signal.signal(signal.SIGTERM, keeper.ask_to_stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with explained(layout.root):
            keeper.run()
    except GroundworkError as error:
        _say(f"giving up: {error.message}")
        layout.failure.write_text(json.dumps({"kind": error.kind, "message": error.message}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
