"""Uploaded bytes on disk: there after a power cut, whole or not at all, and out of the way of everything else."""

import asyncio
import os
import resource
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from groundwork.assembly import Platform
from groundwork.errors import Unavailable
from groundwork.ingest.uploads import Originals
from plugins.installation import Run


@contextmanager
def _no_file_above(size: int) -> Generator[None]:
    """The kernel refuses to let a file grow beyond `size` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_original_and_its_folder_are_on_the_disk_before_anyone_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), os.fstat(descriptor).st_size))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    originals = Originals(tmp_path / "originals")
    digest = originals.put(b"The heron stands in the reeds.")
    (kept,) = _files(originals.folder)
    (draft, size), *folders = synced
    assert Path(draft).parent == kept.parent
    assert Path(draft).name.startswith(".")
    assert size == len(originals.get(digest))
    assert [name for name, _ in folders] == [str(kept.parent), str(originals.folder), str(tmp_path)]


def test_a_disk_that_takes_no_more_leaves_nothing_behind_and_is_named(tmp_path: Path) -> None:
    originals = Originals(tmp_path / "originals")
    with _no_file_above(1000), pytest.raises(Unavailable, match=r"could not be kept in .*: File too large"):
        originals.put(b"x" * 5000)
    assert _files(tmp_path) == []
    assert originals.get(originals.put(b"x" * 5000)) == b"x" * 5000


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "originals").write_text("in the way", encoding="utf-8")
    with pytest.raises(Unavailable, match="could not be kept in"):
        Originals(tmp_path / "originals").put(b"heron")


def test_an_upload_is_hashed_and_written_beside_the_event_loop(
    run: Run[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[threading.Thread] = []
    put = Originals.put

    def noted(self: Originals, content: bytes) -> bytes:
        seen.append(threading.current_thread())
        return put(self, content)

    monkeypatch.setattr(Originals, "put", noted)

    async def inside(platform: Platform) -> None:
        assert asyncio.get_running_loop().is_running()
        await platform.accept_upload("default", "note.txt", b"The heron stands in the reeds.")

    run(inside)
    assert seen
    assert threading.main_thread() not in seen
