"""A git repository as a source: the files of one branch, read from a bare mirror that holds its newest commit only.

The URI of a file names repository, branch and path and no commit, so that an unchanged file stays the same document.
"""

import fcntl
import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import quote

from groundwork.errors import Busy, Corrupt, Invalid, NotFound, Unavailable
from groundwork.ingest.items import Item
from groundwork.ingest.sources import gitcommand
from groundwork.ingest.sources.addresses import Gate
from groundwork.ingest.sources.config import GitConfig
from groundwork.ingest.sources.names import Selection, clean_name, is_hidden, is_readable
from groundwork.settings import SourceSettings

_FILES = frozenset({"100644", "100755", "100664"})
"""Modes of files; links (120000) and submodules (160000) are no documents."""
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class _Entry:
    mode: str
    object_id: str
    size: int
    path: bytes


class GitSource:
    """The files of one branch. The mirror outlives the source; two syncs of one repository take turns fetching."""

    def __init__(
        self, config: GitConfig, settings: SourceSettings, cache: Path, max_bytes: int, gate: Gate | None = None
    ) -> None:
        self._url = config.url
        self._branch = config.branch
        self._folder = config.path.strip("/")
        self._selection = Selection(config.include, config.exclude)
        self._timeout = settings.git_timeout_seconds
        self._gate = gate or Gate(settings.allow_private_addresses)
        self._max_bytes = max_bytes
        self._mirror = cache / hashlib.sha256(config.url.encode()).hexdigest()[:32]
        self._objects = _Objects(self._mirror, self._timeout)

    @property
    def uri_prefix(self) -> str:
        """What the URIs of all its documents begin with."""
        return f"git+{self._url}@{self._branch or 'HEAD'}:{quote(self._folder + '/') if self._folder else ''}"

    @property
    def gaps(self) -> list[str]:
        """None: a branch is listed whole or not at all."""
        return []

    def items(self) -> Iterator[Item]:
        """Fetches the branch, then lists its chosen files in the order of their paths.

        Raises NotFound, Refused, Invalid, Unavailable; Busy when another sync holds the mirror for too long.
        """
        commit = self._fetch()
        listing = gitcommand.run(gitcommand.tree(self._mirror, commit), self._timeout)
        entries = [_entry(line) for line in listing.split(b"\0") if line]
        inside = [(each, path) for each in entries if (path := self._within(each)) is not None]
        if self._folder and not inside:
            raise NotFound(f"The branch has no folder {self._folder!r}. Check the path of the source.")
        for entry, path in inside:
            if self._chosen(entry, path):
                yield self._item(entry, path)

    def close(self) -> None:
        """Ends its git process. The mirror stays for the next sync."""
        self._objects.close()

    def _fetch(self) -> str:
        remote = gitcommand.judge(self._url, self._gate)
        wanted = f"refs/heads/{self._branch}" if self._branch else "HEAD"
        kept_as = f"refs/groundwork/{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
        self._mirror.mkdir(parents=True, exist_ok=True)
        with _alone(self._mirror.with_suffix(".lock"), self._timeout):
            _remove_left_locks(self._mirror)
            gitcommand.run(gitcommand.init(self._mirror), self._timeout)
            fetch = gitcommand.fetch(self._mirror, remote, wanted, kept_as)
            gitcommand.run(fetch, self._timeout, remote.environment)
            commit = gitcommand.run(gitcommand.resolve(self._mirror, kept_as), self._timeout)
        return commit.decode().strip()

    def _within(self, entry: _Entry) -> str | None:
        path = os.fsdecode(entry.path)
        if not self._folder:
            return path
        return path[len(self._folder) + 1 :] if path.startswith(self._folder + "/") else None

    def _chosen(self, entry: _Entry, path: str) -> bool:
        parts = path.split("/")
        if entry.mode not in _FILES or any(is_hidden(part) for part in parts) or not is_readable(parts[-1]):
            return False
        return self._selection.admits(path)

    def _item(self, entry: _Entry, path: str) -> Item:
        return Item(
            self.uri_prefix + quote(os.fsencode(path)), clean_name(PurePosixPath(path).name), lambda: self._read(entry)
        )

    def _read(self, entry: _Entry) -> bytes:
        if entry.size > self._max_bytes:
            raise Invalid(f"The file is larger than {self._max_bytes >> 20} MiB (GROUNDWORK_INGEST__MAX_FILE_MB).")
        content = self._objects.read(entry.object_id)
        if content.startswith(_LFS):
            raise Invalid("The file itself is in Git LFS, which is not fetched: add it from where it is kept.")
        return content


class _Objects:
    """Objects of a mirror, read through one git process; thread-safe."""

    def __init__(self, mirror: Path, timeout: float) -> None:
        self._mirror = mirror
        self._timeout = timeout
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def read(self, object_id: str) -> bytes:
        with self._lock:
            if self._closed:
                raise Unavailable("The source was closed before its files were read.")
            if self._process is None:
                self._process = gitcommand.start(gitcommand.contents(self._mirror), {}, with_input=True)
            watch = threading.Timer(self._timeout, self._process.kill)
            watch.start()
            try:
                return _ask(self._process, object_id)
            except (OSError, Unavailable):
                self._end()
                raise Unavailable("git stopped while it was reading the mirror: try again later.") from None
            finally:
                watch.cancel()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            gitcommand.stop(self._process)
            self._process = None


def _ask(process: subprocess.Popen[bytes], object_id: str) -> bytes:
    questions, answers = process.stdin, process.stdout
    assert questions is not None
    assert answers is not None
    questions.write(object_id.encode() + b"\n")
    questions.flush()
    header = answers.readline().split()
    if len(header) == 2 and header[1] == b"missing":
        raise Corrupt("The mirror of the repository lacks an object of it: remove its folder under cache/git.")
    if len(header) != 3:
        raise Unavailable("git ended")
    return _exactly(answers, int(header[2]) + 1)[:-1]


def _exactly(answers: IO[bytes], size: int) -> bytes:
    content = answers.read(size)
    if len(content) != size:
        raise Unavailable("git ended")
    return content


def _entry(line: bytes) -> _Entry:
    head, _, path = line.partition(b"\t")
    mode, _, object_id, size = head.decode("ascii").split()
    return _Entry(mode, object_id, int(size) if size != "-" else 0, path)


def _remove_left_locks(mirror: Path) -> None:
    """Locks of a git that was killed: nobody else fetches into this mirror now."""
    for pattern in ("*.lock", "refs/**/*.lock", "objects/info/**/*.lock"):
        for path in mirror.glob(pattern):
            path.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path, timeout: float) -> Generator[None]:
    until = time.monotonic() + timeout
    with path.open("wb") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Busy("Another sync of this repository is still fetching it: try again later.") from None
                time.sleep(0.1)
        yield
