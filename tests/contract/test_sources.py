"""What every kind of source promises, whatever it is made of."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import Invalid, NotFound, Unavailable
from groundwork.ingest.items import Item
from groundwork.ingest.sources import Source, check_config, open_source, parse_location
from groundwork.settings import IngestSettings, Settings, SourceSettings
from plugins.s3 import KEY, REGION, SECRET, bucket
from plugins.website import Website

_DOCUMENTS = {
    "guide.md": b"# Guide\n\nHow it is done.\n",
    "notes/first note.txt": "Grüße\n".encode(),
    "notes/deep/page.html": b"<html><body><p>Deep down.</p></body></html>",
}
_OTHERS = {".hidden.md": b"no", "notes/.git/config.txt": b"no", "film.mp4": b"\0\0\0 ftypmp42"}
_LARGE = b"x" * ((1 << 20) + 1)


@dataclass(frozen=True)
class Place:
    """Somewhere a source can be pointed at, and how to change what is there."""

    kind: str
    config: dict[str, Any]
    put: Callable[[str, bytes], None]
    remove: Callable[[str], None]
    missing: dict[str, Any]
    """The configuration of a place that is not there."""
    settings: Settings

    def open(self, **more: Any) -> closing[Source]:
        return closing(open_source(self.kind, self.config | more, self.settings))


def _settings(tmp_path: Path, **sources: Any) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        ingest=IngestSettings(max_file_mb=1),
        sources=SourceSettings(allow_private_addresses=True, fetch_timeout_seconds=10, fetch_max_mb=1, **sources),
    )


def _folder(tmp_path: Path) -> Iterator[Place]:
    root = tmp_path / "folder"
    root.mkdir()

    def put(name: str, content: bytes) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    missing = {"path": str(tmp_path / "nowhere")}
    yield Place("folder", {"path": str(root)}, put, lambda name: (root / name).unlink(), missing, _settings(tmp_path))


def _git(tmp_path: Path) -> Iterator[Place]:
    root = tmp_path / "repository"
    root.mkdir()

    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-C", str(root), *arguments],
            check=True,
            capture_output=True,
        )

    def commit() -> None:
        git("add", "--all", "--force")
        git("commit", "--quiet", "--allow-empty", "-m", "change")

    def put(name: str, content: bytes) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        commit()

    def remove(name: str) -> None:
        (root / name).unlink()
        commit()

    git("init", "--quiet", "-b", "main")
    commit()
    config = {"url": str(root), "branch": "main"}
    yield Place("git", config, put, remove, {"url": str(root), "branch": "nowhere"}, _settings(tmp_path))


def _web(tmp_path: Path) -> Iterator[Place]:
    types = {".md": "text/markdown", ".txt": "text/plain; charset=utf-8", ".html": "text/html", ".mp4": "video/mp4"}
    with Website().serving() as site:
        names: set[str] = set()

        def publish() -> None:
            pages = "".join(f"<url><loc>{site.url}/{name.replace(' ', '%20')}</loc></url>" for name in sorted(names))
            site.put("/sitemap.xml", f"<urlset>{pages}</urlset>", "application/xml")

        def put(name: str, content: bytes) -> None:
            if name in _OTHERS:  # a site lists its pages; nothing that is no page is in the list
                return
            names.add(name)
            site.put("/" + name.replace(" ", "%20"), content, types.get(Path(name).suffix))
            publish()

        def remove(name: str) -> None:
            names.remove(name)
            publish()

        publish()
        config = {"sitemaps": [f"{site.url}/sitemap.xml"]}
        yield Place("web", config, put, remove, {"sitemaps": [f"{site.url}/none.xml"]}, _settings(tmp_path))


def _s3(tmp_path: Path) -> Iterator[Place]:
    with bucket() as shelf:
        shelf.put("shelf-two/other.md", b"of another prefix")
        keys = {"s3_access_key_id": KEY, "s3_secret_access_key": SECRET, "s3_region": REGION}
        config = {"bucket": shelf.name, "prefix": "shelf", "endpoint": shelf.endpoint}
        yield Place(
            "s3",
            config,
            lambda name, content: shelf.put(f"shelf/{name}", content),
            lambda name: shelf.remove(f"shelf/{name}"),
            config | {"bucket": "nowhere"},
            _settings(tmp_path, **keys),
        )


_KINDS: dict[str, Callable[[Path], Iterator[Place]]] = {"folder": _folder, "git": _git, "web": _web, "s3": _s3}


@pytest.fixture(params=_KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "git" and shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"]:
        monkeypatch.delenv(name)
    for made in _KINDS[request.param](tmp_path):
        for name, content in (_DOCUMENTS | _OTHERS).items():
            made.put(name, content)
        yield made


def _listed(place: Place, **more: Any) -> list[Item]:
    with place.open(**more) as source:
        return list(source.items())


def _contents(items: list[Item]) -> list[bytes]:
    return sorted(item.read().removeprefix(b"\xef\xbb\xbf") for item in items)


def _names(items: list[Item]) -> set[str]:
    return {item.filename.rpartition(".")[0] or item.filename for item in items}


def test_documents_are_offered_and_nothing_else(place: Place) -> None:
    with place.open() as source:
        items = list(source.items())
        assert _contents(items) == sorted(_DOCUMENTS.values())
        assert _names(items) == {"guide", "first note", "page"}
        assert not source.gaps


def test_the_file_name_says_what_the_content_is(place: Place) -> None:
    with place.open() as source:
        names: set[str] = set()
        for item in source.items():
            item.read()
            names.add(item.filename_read() if item.filename_read else item.filename)
        assert names == {"guide.md", "first note.txt", "page.html"}


def test_every_uri_is_the_documents_own_and_begins_with_the_prefix(place: Place) -> None:
    with place.open() as source:
        uris = [item.uri for item in source.items()]
        assert len(set(uris)) == len(_DOCUMENTS)
        assert all(uri.startswith(source.uri_prefix) for uri in uris)


def test_a_document_keeps_its_uri_when_it_and_others_change(place: Place) -> None:
    before = {item.uri for item in _listed(place)}
    place.put("guide.md", b"# Guide\n\nDone otherwise now.\n")
    place.put("new.md", b"# New\n")
    after = {item.uri for item in _listed(place)}
    assert before < after
    assert len(after) == len(before) + 1


def test_what_changed_is_read_as_it_is_now(place: Place) -> None:
    _listed(place)
    place.put("guide.md", b"# Guide\n\nDone otherwise now.\n")
    with place.open() as source:
        assert b"# Guide\n\nDone otherwise now.\n" in _contents(list(source.items()))


def test_what_was_removed_is_offered_no_more(place: Place) -> None:
    place.remove("guide.md")
    assert _names(_listed(place)) == {"first note", "page"}


def test_reading_again_gives_the_same_bytes(place: Place) -> None:
    with place.open() as source:
        items = list(source.items())
        assert _contents(items) == _contents(items)
    with place.open() as source:
        assert _contents(list(source.items())) == sorted(_DOCUMENTS.values())


def test_a_document_that_cannot_be_had_is_offered_and_spoils_no_other(place: Place) -> None:
    place.put("large.txt", _LARGE)
    with place.open() as source:
        by_name = {item.filename: item for item in source.items()}
        large = by_name.pop(next(name for name in by_name if name.startswith("large")))
        with pytest.raises(Invalid, match=r"larger than 1 MiB \(GROUNDWORK_"):
            large.read()
        assert _contents(list(by_name.values())) == sorted(_DOCUMENTS.values())


def test_patterns_choose(place: Place) -> None:
    assert _names(_listed(place, include=["*.md", "notes/deep/"])) == {"guide", "page"}
    assert _names(_listed(place, exclude=["notes/**/*.html"])) == {"guide", "first note"}
    assert _names(_listed(place, include=["notes"], exclude=["deep"])) == {"first note"}


def test_a_place_that_is_not_there_is_said_to_be_missing(place: Place) -> None:
    with closing(open_source(place.kind, place.missing, place.settings)) as source, pytest.raises(NotFound):
        list(source.items())


def test_closing_lets_go(place: Place) -> None:
    source = open_source(place.kind, place.config, place.settings)
    items = list(source.items())
    for item in items:
        item.read()
    source.close()
    source.close()
    if place.kind != "folder":  # which holds nothing
        with pytest.raises(Unavailable):
            items[0].read()


def test_the_configuration_is_checked_and_says_what_is_wrong(place: Place) -> None:
    assert check_config(place.kind, place.config)
    with pytest.raises(Invalid, match=r"colour.*Its options are include"):
        open_source(place.kind, place.config | {"colour": "red"}, place.settings)


@pytest.mark.parametrize(
    ("location", "kind", "config"),
    [
        ("https://example.org/handbook", "web", {"urls": ["https://example.org/handbook"]}),
        ("https://example.org/sitemap.xml", "web", {"sitemaps": ["https://example.org/sitemap.xml"]}),
        (
            "https://example.org/a/sitemap_index.xml.gz",
            "web",
            {"sitemaps": ["https://example.org/a/sitemap_index.xml.gz"]},
        ),
        ("https://example.org/team/handbook.git", "git", {"url": "https://example.org/team/handbook.git"}),
        ("git+https://example.org/handbook@next", "git", {"url": "https://example.org/handbook", "branch": "next"}),
        ("git@example.org:team/handbook.git", "git", {"url": "git@example.org:team/handbook.git"}),
        ("git+git@example.org:team/book@v/2", "git", {"url": "git@example.org:team/book", "branch": "v/2"}),
        ("git+ssh://git@example.org/book", "git", {"url": "ssh://git@example.org/book"}),
        ("git+/srv/book@main", "git", {"url": "/srv/book", "branch": "main"}),
        ("s3://shelf/a/b/", "s3", {"bucket": "shelf", "prefix": "a/b"}),
        ("s3+https://minio.example.org/shelf", "s3", {"bucket": "shelf", "endpoint": "https://minio.example.org"}),
    ],
)
def test_a_location_tells_its_kind(location: str, kind: str, config: dict[str, Any]) -> None:
    assert parse_location(location) == (kind, config)


def test_an_existing_path_is_a_folder_and_options_are_taken_along(tmp_path: Path) -> None:
    assert parse_location(str(tmp_path), {"include": ["*.md"]}) == (
        "folder",
        {"path": str(tmp_path), "include": ["*.md"]},
    )


@pytest.mark.parametrize("location", ["ftp://example.org/x", "s3://", "git+https://example.org/a@-x"])
def test_a_location_that_makes_no_sense_is_refused(location: str) -> None:
    with pytest.raises(Invalid):
        parse_location(location)


def test_a_path_where_nothing_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        parse_location(str(tmp_path / "nowhere"))
