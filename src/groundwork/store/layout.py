"""Where the embedded PostgreSQL keeps what in the data directory, and the kernel locks its processes agree by."""

import fcntl
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

DATABASE = "groundwork"
SUPERUSER = "postgres"
PORT = 5432  # part of the socket's name only; nothing listens on TCP

_SOCKET = f".s.PGSQL.{PORT}"
_LONGEST_SOCKET = 100  # bytes; sun_path holds 108 on Linux and 104 on macOS
# Read by two parsers, PostgreSQL's list of directories and libpq's list of hosts: nothing either gives a meaning to.
_PLAIN = re.compile(r"[\w/. +@:=~-]+")


@dataclass(frozen=True)
class Layout:
    """Names of files under one data directory; make it with `Layout.of`, so that every process agrees on them."""

    root: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Layout":
        """The layout of a data directory, whichever way its path was written."""
        return cls(data_dir.expanduser().resolve())

    @property
    def pgdata(self) -> Path:
        """The database cluster."""
        return self.root / "postgres"

    @property
    def unborn(self) -> Path:
        """Where a cluster is made before it takes its name; anything found here is left from a crash."""
        return self.root / "postgres.new"

    @property
    def stamp(self) -> Path:
        """Says that data is expected here."""
        return self.root / "groundwork.json"

    @property
    def server_log(self) -> Path:
        """What PostgreSQL says."""
        return self.root / "postgres.log"

    @property
    def run(self) -> Path:
        """Locks and logs of the running processes; nothing here has to survive."""
        return self.root / "run"

    @property
    def lease(self) -> Path:
        """Locked shared by every process that uses the server, exclusively by a keeper that stops it."""
        return self.run / "lease"

    @property
    def keeper_lock(self) -> Path:
        """Locked by the keeper as long as it lives."""
        return self.run / "keeper.lock"

    @property
    def server_lock(self) -> Path:
        """Locked by PostgreSQL: its processes inherit the open file, so it is free when the last has ended."""
        return self.run / "server.lock"

    @property
    def keeper_log(self) -> Path:
        """What the keeper says."""
        return self.run / "keeper.log"

    @property
    def failure(self) -> Path:
        """Why the last keeper gave up, as JSON."""
        return self.run / "keeper.failed"

    @property
    def socket_dir(self) -> Path:
        """Directory of the server's socket; under /tmp when the path here is too long or too odd for one.

        Not the temporary directory of the environment: every process of every session must find the same one.
        """
        inside = self.run / "pg"
        if len(os.fsencode(inside / _SOCKET)) <= _LONGEST_SOCKET and _PLAIN.fullmatch(str(inside)):
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(f"/tmp/groundwork-{digest}")  # noqa: S108 - its owner and mode are checked before use

    @property
    def socket(self) -> Path:
        """The server's socket."""
        return self.socket_dir / _SOCKET

    @property
    def socket_lock(self) -> Path:
        """PostgreSQL's second pid file, beside the socket."""
        return self.socket.with_name(f"{_SOCKET}.lock")

    def url(self, database: str = DATABASE) -> str:
        """How psycopg, SQLAlchemy and the PostgreSQL tools reach a database of this server."""
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self.socket_dir), safe='')}&port={PORT}"


class Lock:
    """One opening of a lock file. The kernel lets the lock go when the process ends, in whatever way it ends.

    The descriptor is not inherited by programs started from here, only by forks (close it there).
    """

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self, *, shared: bool = False) -> bool:
        """Takes the lock if it is to be had now. Not for changing from shared to exclusive: that is not atomic."""
        try:
            fcntl.flock(self.fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Lets go for everybody who inherited the descriptor as well."""
        if self.fd >= 0:
            fcntl.flock(self.fd, fcntl.LOCK_UN)
        self.close()

    def close(self) -> None:
        """Closes our descriptor; whoever inherited it keeps the lock."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def is_held(path: Path, *, exclusively: bool = True) -> bool:
    """Whether a process holds the lock exclusively, or with `exclusively=False` in any way."""
    try:
        probe = Lock(path)
    except FileNotFoundError:
        return False
    try:
        return not probe.take(shared=exclusively)
    finally:
        probe.release()


def tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log, indented; a note when there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 4096))
            text = log.read().decode(errors="replace")
    except OSError:
        text = ""
    kept = text.strip().splitlines()[-lines:] or ["(empty)"]
    return "\n".join("    " + line for line in kept)
