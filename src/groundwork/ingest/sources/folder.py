"""Files and folders as a source: every readable file below a path, hidden ones and what no extractor knows left out.

Links are followed only to what lies below the same path. What is neither file nor folder (a pipe, a device) is no
document, and is never opened.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from groundwork.errors import Invalid, NotFound
from groundwork.ingest.items import Item
from groundwork.ingest.sources.config import FolderConfig
from groundwork.ingest.sources.names import Selection, clean_name, is_hidden, is_readable

_UNLIMITED = 1 << 60


class FolderSource:
    """The documents at one path. Holds nothing open."""

    def __init__(self, config: FolderConfig, max_bytes: int = _UNLIMITED) -> None:
        self._path = Path(config.path).expanduser().resolve()
        self._selection = Selection(config.include, config.exclude)
        self._max_bytes = max_bytes
        self._gaps: list[str] = []

    @property
    def uri_prefix(self) -> str:
        """What the URIs of all its documents begin with."""
        return prefix(self._path)

    @property
    def gaps(self) -> list[str]:
        """Folders that could not be looked into, and why."""
        return list(self._gaps)

    def items(self) -> Iterator[Item]:
        """The file itself, or all chosen files below the folder, in a stable order. Raises NotFound."""
        self._gaps.clear()
        if not self._path.exists():
            raise NotFound(f"There is no file or folder at {self._path}. Check the path and try again.")
        if self._path.is_file():
            yield self._item(self._path)
            return
        for path in _Walk(self._path, self._selection, self._gaps).files():
            yield self._item(path)

    def close(self) -> None:
        """Nothing to let go of."""

    def _item(self, path: Path) -> Item:
        return Item(path.as_uri(), clean_name(path.name), lambda: _read(path, self._path, self._max_bytes))


def scan(path: Path) -> Iterator[Item]:
    """The items at `path`, in a stable order: the file itself, or all files below the folder.

    Raises NotFound when there is nothing at `path`.
    """
    return FolderSource(FolderConfig(path=str(path))).items()


def prefix(path: Path) -> str:
    """What the URIs of all items at `path` begin with."""
    return path.as_uri() + ("/" if path.is_dir() else "")


@dataclass(frozen=True)
class _Walk:
    root: Path
    selection: Selection
    gaps: list[str]

    def files(self) -> Iterator[Path]:
        """A folder's files, then those of each of its folders, by name."""
        waiting = [self.root]
        while waiting:
            folders: list[Path] = []
            for entry in self._entries(waiting.pop()):
                path = Path(entry.path)
                if is_hidden(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif (
                    is_readable(entry.name, pictures=True)
                    and self.selection.admits(self._relative(path))
                    and self._is_ours(entry)
                ):
                    yield path
            waiting += [path for path in reversed(folders) if self.selection.enters(self._relative(path))]

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as found:
                return sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self.gaps.append(f"The folder {clean_name(str(folder))} cannot be looked into: {error.strerror or error}.")
            return []

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _is_ours(self, entry: os.DirEntry[str]) -> bool:
        try:
            if not entry.is_file():
                return False
            return not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(self.root)
        except OSError:  # a link that leads nowhere, or in a circle
            return False


def _read(path: Path, root: Path, max_bytes: int) -> bytes:
    real = path.resolve()
    if not real.is_relative_to(root):
        raise Invalid("The file is a link that leads out of the folder: put the document itself there.")
    # Not blocking, because opening a pipe that has taken the file's place would wait for its writer.
    handle = os.open(real, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Invalid("This is not a regular file: put the document itself there.")
        if status.st_size > max_bytes:
            raise Invalid(f"The file is larger than {max_bytes >> 20} MiB (GROUNDWORK_INGEST__MAX_FILE_MB).")
        return file.read()
