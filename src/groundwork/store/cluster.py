"""The database cluster on disk: made whole or not at all, never where data is expected, configured at each start."""

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from groundwork.clock import new_id
from groundwork.errors import Corrupt, StoreUnavailable
from groundwork.store.binaries import (
    MAJOR,
    binary,
    give_to_server,
    let_server_reach,
    open_installation,
    server_account,
    spawn,
)
from groundwork.store.layout import PORT, SUPERUSER, Layout

_MB = 1 << 20
_INCLUDE = "include_if_exists = 'groundwork.conf'"


def prepare_cluster(layout: Layout, *, durable: bool, lock_fd: int) -> None:
    """Makes the cluster if this is the first start, checks it otherwise, and writes its settings.

    `lock_fd` is inherited by what is started here. Raises Corrupt when data is expected and missing, StoreUnavailable
    when the cluster is of another major version or cannot be made.
    """
    with explained(layout.root):
        open_installation()
        let_server_reach(layout.pgdata)
        shutil.rmtree(layout.unborn, ignore_errors=True)
        if not _exists(layout):
            _initialise(layout, durable=durable, lock_fd=lock_fd)
        if not layout.stamp.exists():
            _write_stamp(layout.stamp)
        give_to_server(layout.pgdata)
        _prepare_socket_dir(layout.socket_dir)
        _configure(layout, durable=durable)


@contextmanager
def explained(directory: Path) -> Generator[None]:
    """Turns a full disk or a directory that cannot be written into a StoreUnavailable that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"{_reason(error, directory)} ({error})") from error


def _reason(error: OSError, directory: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk that holds {directory} is full. Free some space, or move the data (GROUNDWORK_DATA_DIR)."
    return (
        f"The data directory {directory} cannot be used. Make it writable for this user, start as its owner, "
        "or choose another one (GROUNDWORK_DATA_DIR)."
    )


def _exists(layout: Layout) -> bool:
    """Whether there is a cluster to start; a fresh, empty place is False, anything doubtful an error."""
    version = layout.pgdata / "PG_VERSION"
    if version.exists():
        found = version.read_text().strip()
        if found != str(MAJOR):
            raise StoreUnavailable(
                f"{layout.pgdata} was written by PostgreSQL {found}; this Groundwork runs PostgreSQL {MAJOR}. "
                f"Dump it with PostgreSQL {found} (pg_dump), move it away together with {layout.stamp.name}, "
                "start empty and load the dump."
            )
        return True
    if layout.pgdata.is_dir() and any(layout.pgdata.iterdir()):
        raise Corrupt(
            f"{layout.pgdata} is not empty and is not a PostgreSQL cluster (PG_VERSION is missing). "
            "Restore a backup, or move that directory away."
        )
    if layout.stamp.exists():
        raise Corrupt(
            f"{layout.stamp} says that data is kept in {layout.root}, but {layout.pgdata} is missing or empty. "
            "Is a disk not mounted? Put the directory back or restore a backup. To start with nothing instead, remove "
            f"{layout.stamp}."
        )
    return False


def _initialise(layout: Layout, *, durable: bool, lock_fd: int) -> None:
    layout.unborn.mkdir(mode=0o700)
    give_to_server(layout.unborn)
    command = [binary("initdb"), "--pgdata", layout.unborn, "--username", SUPERUSER, "--auth", "trust"]
    command += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    command += ["--data-checksums", "--no-instructions", *([] if durable else ["--no-sync"])]
    process = spawn(command, subprocess.PIPE, with_parent=signal.SIGKILL, keep=[lock_fd])
    said = process.communicate()[0].decode(errors="replace").strip()
    if process.returncode != 0:
        shutil.rmtree(layout.unborn, ignore_errors=True)
        full = os.strerror(errno.ENOSPC) in said
        advice = _reason(OSError(errno.ENOSPC if full else 0, ""), layout.root) if full else ""
        raise StoreUnavailable(f"PostgreSQL could not be set up in {layout.root}. {advice}\n{said[-2000:]}")
    layout.unborn.rename(layout.pgdata)
    _sync(layout.root)


def _write_stamp(stamp: Path) -> None:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"created": created, "postgres_major": MAJOR, "installation_id": str(new_id())}
    _replace(stamp, json.dumps(content, indent=2) + "\n", mode=0o644)


def is_ours(directory: Path) -> bool:
    """Whether a directory is real and belongs to us or our server; under /tmp anybody could have made it first."""
    account = server_account()
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid in {os.geteuid(), account.uid if account else os.geteuid()}


def _prepare_socket_dir(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    if not is_ours(directory):
        raise StoreUnavailable(f"{directory} belongs to somebody else. Remove it, or use a shorter data directory.")
    give_to_server(directory)
    let_server_reach(directory)
    directory.chmod(0o700)


def _configure(layout: Layout, *, durable: bool) -> None:
    lines = ["# Written by Groundwork at every start. Your own settings: ALTER SYSTEM, which wins over these."]
    lines += [f"{name} = {value}" for name, value in server_settings(layout.socket_dir, durable=durable).items()]
    _replace(layout.pgdata / "groundwork.conf", "\n".join(lines) + "\n", owner=layout.pgdata)
    main = layout.pgdata / "postgresql.conf"
    present = main.read_text() if main.exists() else ""
    if _INCLUDE not in present.splitlines():
        _replace(main, f"{present}\n{_INCLUDE}\n", owner=layout.pgdata)


def server_settings(socket_dir: Path, *, durable: bool = True) -> dict[str, str]:
    """PostgreSQL settings for this machine, as they stand in a configuration file."""
    memory = _memory_mb()
    maintenance = _between(memory // 32, 64, 512)
    settings = {
        "listen_addresses": "''",
        "port": str(PORT),
        "unix_socket_directories": f"'{socket_dir}'",
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": f"{_between(memory // 16, 128, 1024)}MB",
        "effective_cache_size": f"{max(memory // 2, 256)}MB",
        "maintenance_work_mem": f"{maintenance}MB",
        "work_mem": f"{_between(memory // 512, 4, 32)}MB",
        "dynamic_shared_memory_type": _shared_memory(2 * maintenance),
        "wal_level": "replica",
        "summarize_wal": "on",
        "wal_compression": "pglz",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        "max_slot_wal_keep_size": "4GB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "client_connection_check_interval": "5s",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "log_line_prefix": "'%m [%p] %q%a '",
        "default_text_search_config": "'pg_catalog.english'",
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    return settings


def _between(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _memory_mb() -> int:
    """Memory of the machine, or of the container when that has less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MB
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            memory = min(memory, int(Path(limit).read_text()) // _MB)
        except (OSError, ValueError):
            continue
    return memory


def _shared_memory(needed_mb: int) -> str:
    """Containers often have 64 MB of /dev/shm, too little for a parallel index build: files serve then."""
    if not sys.platform.startswith("linux"):
        return "posix"
    try:
        status = os.statvfs("/dev/shm")  # noqa: S108 - looked at, not written
    except OSError:
        return "mmap"
    return "posix" if status.f_frsize * status.f_bavail >= needed_mb * _MB else "mmap"


def _replace(path: Path, text: str, *, mode: int = 0o600, owner: Path | None = None) -> None:
    """Writes a file whole or not at all, under a name nobody can have prepared, owned like `owner`."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if owner is not None and os.geteuid() == 0:
            status = owner.stat()
            os.fchown(descriptor, status.st_uid, status.st_gid)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
