"""The embedded PostgreSQL, as the processes that use it see it.

    with EmbeddedServer(data_dir) as server:
        psycopg.connect(server.url)

The first process to come starts a keeper (see `keeper`), which starts PostgreSQL; all share it; when the last has gone,
in whatever way, the keeper stops it. Blocking: call it from a thread in asynchronous code.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import groundwork
from groundwork.errors import Corrupt, StoreUnavailable
from groundwork.store.binaries import binary
from groundwork.store.cluster import explained, is_ours
from groundwork.store.layout import Layout, Lock, is_held, tail

__all__ = ["EmbeddedServer", "binary", "create_database"]

_log = logging.getLogger(__name__)

_POLL = 0.02  # seconds, while something is awaited
_WATCH = 0.25  # seconds between looks at the keeper
_WATCH_AFTER_FAILURE = 30.0  # seconds, at most
_STOP = 10.0  # seconds the last process waits for PostgreSQL to stop
_DATABASE_LOCK = 0x67776462  # advisory lock around CREATE DATABASE; any constant, the same everywhere

_servers: "weakref.WeakSet[EmbeddedServer]" = weakref.WeakSet()
_spawned: list[subprocess.Popen[bytes]] = []  # keepers of ours that may outlive their EmbeddedServer


class EmbeddedServer:
    """This process's share in the PostgreSQL of one data directory.

    `start_timeout` is in seconds. `durable=False` switches fsync off, for tests: a power cut may then destroy the data,
    a killed process does not. The process that starts the server decides.
    """

    def __init__(self, data_dir: Path, start_timeout: float = 60.0, *, durable: bool = True) -> None:
        self._layout = Layout.of(data_dir)
        self._start_timeout = start_timeout
        self._durable = durable
        self._lease: Lock | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._monitor: threading.Thread | None = None
        _servers.add(self)

    @property
    def url(self) -> str:
        """The database `groundwork` on the server's Unix socket, as user `postgres`."""
        return self._layout.url()

    def url_of(self, database: str) -> str:
        """Another database of the same server."""
        return self._layout.url(database)

    def start(self) -> str:
        """Starts or joins the server, makes sure the database exists, and answers its URL.

        Raises Corrupt when data is expected in the directory and missing; StoreUnavailable when the server cannot be
        started in time, saying why.
        """
        if self._monitor is not None:
            return self.url
        deadline = time.monotonic() + self._start_timeout
        _make_directories(self._layout)
        try:
            self._take_lease(deadline)
            self._await_server(deadline)
        except BaseException:
            self._let_go()
            raise
        self._closing.clear()
        self._monitor = threading.Thread(target=self._watch, name="groundwork-postgres", daemon=True)
        self._monitor.start()
        return self.url

    def close(self) -> None:
        """Lets go of the server; the last process to do so waits until it has stopped (10 s at most)."""
        if self._monitor is None:
            return
        self._closing.set()
        self._monitor.join()
        self._monitor = None
        self._let_go()
        _await_stop(self._layout)
        _reap()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_lease(self, deadline: float) -> None:
        with explained(self._layout.root):
            self._lease = Lock(self._layout.lease)
        while not self._lease.take(shared=True):  # a keeper is stopping the server for the ones before us
            if time.monotonic() > deadline:
                raise self._too_late("the former PostgreSQL has not stopped yet")
            time.sleep(_POLL)

    def _let_go(self) -> None:
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def _await_server(self, deadline: float) -> None:
        last = "no server yet"
        while True:
            if not is_held(self._layout.keeper_lock):
                self._ensure_keeper()
            elif self._layout.socket.exists() and is_ours(self._layout.socket_dir):
                try:
                    return create_database(self.url, max(2.0, deadline - time.monotonic()))
                except psycopg.errors.DiskFull as error:
                    raise StoreUnavailable(f"The disk that holds {self._layout.root} is full: {error}") from error
                except psycopg.Error as error:
                    last = str(error).strip()
            if time.monotonic() > deadline:
                raise self._too_late(last)
            time.sleep(_POLL)

    def _ensure_keeper(self) -> None:
        """Starts a keeper unless one of ours is on its way. Raises what made the last one give up."""
        if self._keeper is not None:
            if self._keeper.poll() is None:
                return
            if self._keeper.returncode > 0:  # negative: killed, and another may fare better
                self._keeper = None
                raise _failure(self._layout)
        self._layout.failure.unlink(missing_ok=True)
        self._keeper = _spawn(self._layout, durable=self._durable)

    def _watch(self) -> None:
        """Starts another keeper when ours was killed, more and more rarely when it does not help."""
        pause = _WATCH
        while not self._closing.wait(pause):
            try:
                if not is_held(self._layout.keeper_lock):
                    self._ensure_keeper()
                pause = _WATCH
            except (StoreUnavailable, Corrupt, OSError) as error:
                pause = min(pause * 2, _WATCH_AFTER_FAILURE)
                _log.warning("PostgreSQL is down, next attempt in %.0f s: %s", pause, error)

    def _too_late(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"PostgreSQL in {self._layout.root} was not ready within {self._start_timeout:.0f} s: {why}. "
            "After a crash it may take longer: raise GROUNDWORK_DATABASE__START_TIMEOUT_SECONDS and try again.\n"
            + _logs(self._layout)
        )

    def forget(self) -> None:
        """Drops the share without a word to anybody: for a forked child, which inherits it and must not keep it."""
        if self._lease is not None:
            self._lease.close()
        self._lease = self._monitor = self._keeper = None


def create_database(url: str, timeout: float = 10.0) -> None:
    """Makes sure the database named in `url` exists, in UTF-8; several processes may do so at once.

    `timeout` is in seconds. Raises psycopg.Error when the server does not answer or refuses.
    """
    name = str(conninfo_to_dict(url)["dbname"])
    server = make_conninfo(url, dbname="postgres", connect_timeout=max(2, int(timeout)))
    with psycopg.connect(server, autocommit=True) as connection:
        if _database_exists(connection, name):
            return
        connection.execute("SELECT pg_advisory_lock(%s)", (_DATABASE_LOCK,))
        if not _database_exists(connection, name):
            create = sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0")
            connection.execute(create.format(sql.Identifier(name)))


def _database_exists(connection: psycopg.Connection, name: str) -> bool:
    query = "SELECT FROM pg_database WHERE datname = %s"
    return connection.execute(query, (name,)).rowcount == 1


def _make_directories(layout: Layout) -> None:
    with explained(layout.root):
        layout.root.parent.mkdir(parents=True, exist_ok=True)
        layout.root.mkdir(mode=0o700, exist_ok=True)
        layout.run.mkdir(mode=0o700, exist_ok=True)


def _spawn(layout: Layout, *, durable: bool) -> subprocess.Popen[bytes]:
    _reap()
    with explained(layout.root), _appending(layout.keeper_log) as log:
        keeper = subprocess.Popen(
            [
                *[sys.executable, "-P", "-m", "groundwork.store.keeper", str(layout.root)],
                *([] if durable else ["--not-durable"]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_keeper_environment(),
            start_new_session=True,
        )
    _spawned.append(keeper)
    return keeper


def _appending(log: Path, limit: int = 1 << 20) -> BinaryIO:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > limit:
            log.replace(log.with_name(log.name + ".1"))
    return log.open("ab")


def _keeper_environment() -> dict[str, str]:
    """Ours, and the way to this package where it does not lie with the installed ones (a checkout)."""
    home = Path(groundwork.__file__).resolve().parent.parent
    if home.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    paths = [str(home), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _reap() -> None:
    _spawned[:] = [keeper for keeper in _spawned if keeper.poll() is None]


def _failure(layout: Layout) -> StoreUnavailable | Corrupt:
    try:
        failure = json.loads(layout.failure.read_text())
        kind = Corrupt if failure["kind"] == Corrupt.kind else StoreUnavailable
        return kind(failure["message"])
    except (OSError, ValueError, KeyError):
        return StoreUnavailable(f"PostgreSQL in {layout.root} could not be started.\n{_logs(layout)}")


def _logs(layout: Layout) -> str:
    return f"{layout.keeper_log}:\n{tail(layout.keeper_log)}\n{layout.server_log}:\n{tail(layout.server_log)}"


def _await_stop(layout: Layout) -> None:
    """Waits until the server has stopped, unless somebody else uses it."""
    deadline = time.monotonic() + _STOP
    used = 0
    while time.monotonic() < deadline:
        if not is_held(layout.keeper_lock) and not is_held(layout.server_lock):
            return
        shared = is_held(layout.lease, exclusively=False) and not is_held(layout.lease)
        used = used + 1 if shared else 0
        if used == 3:  # once may be another process that looks, like us
            return
        time.sleep(_POLL)


def _forget_in_child() -> None:
    for server in list(_servers):
        server.forget()
    _spawned.clear()


os.register_at_fork(after_in_child=_forget_in_child)
