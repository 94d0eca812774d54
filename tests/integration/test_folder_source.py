"""Folders as they are found on disks: links, pipes, closed folders, deep trees."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import Invalid, NotFound
from groundwork.ingest.sources.config import FolderConfig
from groundwork.ingest.sources.folder import FolderSource


def _source(path: Path, **config: Any) -> closing[FolderSource]:
    return closing(FolderSource(FolderConfig(path=str(path), **config), 1 << 20))


def _names(path: Path, **config: Any) -> list[str]:
    with _source(path, **config) as source:
        return [item.filename for item in source.items()]


def test_a_single_file_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    with _source(tmp_path / "a.md") as source:
        (item,) = source.items()
        assert item.uri == source.uri_prefix == (tmp_path / "a.md").as_uri()
        assert item.read() == b"# A"


def test_files_come_before_folders_each_by_name(tmp_path: Path) -> None:
    for name in ("b/2.md", "b/1.md", "a/z.md", "y.md", "x.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert _names(tmp_path) == ["x.md", "y.md", "z.md", "1.md", "2.md"]


def test_links_are_followed_only_within_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.md").write_text("other")
    (root / "inner" / "a.md").write_text("A")
    (root / "inside.md").symlink_to("inner/a.md")
    (root / "outside.md").symlink_to(tmp_path / "secret.md")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "nowhere.md").symlink_to("gone.md")
    (root / "circle.md").symlink_to("circle.md")
    (root / "loop").symlink_to(root)
    assert _names(root) == ["inside.md", "a.md"]


def test_a_file_that_becomes_a_link_outside_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.md").write_text("secret")
    (root / "a.md").write_text("A")
    with _source(root) as source:
        (item,) = source.items()
        (root / "a.md").unlink()
        (root / "a.md").symlink_to(tmp_path / "secret.md")
        with pytest.raises(Invalid, match="leads out of the folder"):
            item.read()


@pytest.mark.timeout(20)
def test_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "a.md").write_text("A")
    assert _names(tmp_path) == ["a.md"]
    with _source(tmp_path) as source:
        (item,) = source.items()
        (tmp_path / "a.md").unlink()
        os.mkfifo(tmp_path / "a.md")
        with pytest.raises(Invalid, match="not a regular file"):
            item.read()


@pytest.mark.skipif(os.getuid() == 0, reason="root may look into every folder")
def test_a_folder_that_may_not_be_looked_into_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "b.md").write_text("B")
    (tmp_path / "a.md").write_text("A")
    (tmp_path / "closed").chmod(0)
    with _source(tmp_path) as source:
        assert [item.filename for item in source.items()] == ["a.md"]
        assert "closed cannot be looked into: Permission denied" in source.gaps[0]


def test_a_folder_that_vanishes_while_it_is_listed_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "a.md").write_text("A")
    with _source(tmp_path) as source:
        items = source.items()
        assert next(items).filename == "a.md"
        (tmp_path / "gone").rmdir()
        assert list(items) == []
        assert "gone cannot be looked into: No such file" in source.gaps[0]


def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("A")
    with _source(tmp_path) as source:
        (item,) = source.items()
        (tmp_path / "a.md").unlink()
        with pytest.raises(FileNotFoundError):
            item.read()


def test_a_name_that_is_no_text_is_offered_and_read(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("coffee")
    with _source(tmp_path) as source:
        (item,) = source.items()
        assert item.filename.encode() == b"caf?.md"
        assert item.uri.endswith("caf%E9.md")
        assert item.read() == b"coffee"


def test_an_excluded_folder_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "archive" / "x").mkdir(parents=True)
    (tmp_path / "archive" / "x" / "a.md").write_text("A")
    (tmp_path / "b.md").write_text("B")
    assert _names(tmp_path, exclude=["archive/"]) == ["b.md"]


def test_nothing_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Check the path"):
        _names(tmp_path / "nowhere")
