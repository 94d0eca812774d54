"""Git repositories on this machine, by path and over HTTP from git's own server program."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import GroundworkError, Invalid, NotFound, Refused, Unavailable
from groundwork.ingest.items import Item
from groundwork.ingest.sources.addresses import Gate
from groundwork.ingest.sources.config import GitConfig
from groundwork.ingest.sources.git import GitSource
from groundwork.settings import SourceSettings

_AS = ("-c", "user.name=A", "-c", "user.email=a@b.c")


class Repository:
    """A repository to be read from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "-b", "main")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *_AS, "-C", str(self.path), *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", "change")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "book")
    made.commit({"a.md": b"# A", "docs/b.md": b"# B"})
    return made


def _source(
    tmp_path: Path, url: str | Path, gate: Gate | None = None, timeout: float = 30, **config: Any
) -> closing[GitSource]:
    settings = SourceSettings(git_timeout_seconds=timeout)
    made = GitConfig(url=str(url), **config)
    return closing(GitSource(made, settings, tmp_path / "cache", 1 << 20, gate))


def _items(tmp_path: Path, url: str | Path, gate: Gate | None = None, **more: Any) -> list[Item]:
    with _source(tmp_path, url, gate, **more) as source:
        return list(source.items())


def _paths(items: list[Item]) -> list[str]:
    return [item.uri.rpartition(":")[2] for item in items]


def test_a_branch_is_read_as_it_is(tmp_path: Path, repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "feature/next")
    repository.commit({"next.md": b"# Next"})
    repository.git("checkout", "--quiet", "main")
    assert _paths(_items(tmp_path, repository.path, branch="main")) == ["a.md", "docs/b.md"]
    assert _paths(_items(tmp_path, repository.path, branch="feature/next")) == ["a.md", "docs/b.md", "next.md"]
    assert _paths(_items(tmp_path, repository.path)) == ["a.md", "docs/b.md"]


def test_uris_name_repository_branch_and_path(tmp_path: Path, repository: Repository) -> None:
    repository.commit({"docs/grüße & mehr.md": b"# C"})
    items = _items(tmp_path, repository.path, branch="main", path="docs")
    assert [item.uri for item in items] == [
        f"git+{repository.path}@main:docs/b.md",
        f"git+{repository.path}@main:docs/gr%C3%BC%C3%9Fe%20%26%20mehr.md",
    ]
    assert items[1].filename == "grüße & mehr.md"


def test_a_rewritten_branch_is_followed(tmp_path: Path, repository: Repository) -> None:
    _items(tmp_path, repository.path, branch="main")
    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.commit({"a.md": b"# Rewritten"})
    repository.git("branch", "--force", "main", "other")
    with _source(tmp_path, repository.path, branch="main") as source:
        assert next(item.read() for item in source.items()) == b"# Rewritten"


def test_the_mirror_holds_no_history(tmp_path: Path, repository: Repository) -> None:
    for number in range(5):
        repository.commit({"a.md": f"# {number}".encode()})
    _items(tmp_path, repository.path, branch="main")
    (mirror,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    refs = subprocess.run(
        ["git", "-C", str(mirror), "rev-list", "--all", "--count"], capture_output=True, text=True, check=True
    )
    assert refs.stdout.strip() == "1"


def test_links_submodules_and_large_files_are_no_documents(tmp_path: Path, repository: Repository) -> None:
    (repository.path / "link.md").symlink_to("/etc/passwd")
    repository.commit(
        {"big.txt": b"x" * ((1 << 20) + 1), "lfs.pdf": b"version https://git-lfs.github.com/spec/v1\noid sha256:0"}
    )
    head = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},module.md")
    repository.git("commit", "--quiet", "-m", "module")
    with _source(tmp_path, repository.path, branch="main") as source:
        items = {item.filename: item for item in source.items()}
        assert set(items) == {"a.md", "b.md", "big.txt", "lfs.pdf"}
        with pytest.raises(Invalid, match="larger than 1 MiB"):
            items["big.txt"].read()
        with pytest.raises(Invalid, match="Git LFS"):
            items["lfs.pdf"].read()
        assert items["a.md"].read() == b"# A"


def test_names_that_are_no_text_are_listed_and_read(tmp_path: Path, repository: Repository) -> None:
    (repository.path / os.fsdecode(b"caf\xe9.md")).write_bytes(b"# Coffee")
    repository.commit({})
    with _source(tmp_path, repository.path, branch="main") as source:
        item = next(item for item in source.items() if "caf" in item.uri)
        assert item.uri.endswith("caf%E9.md")
        assert item.filename.encode()
        assert item.read() == b"# Coffee"


def test_what_is_not_there_is_said_so(tmp_path: Path, repository: Repository) -> None:
    with pytest.raises(NotFound, match="no such branch"):
        _items(tmp_path, repository.path, branch="none")
    with pytest.raises(NotFound, match="no folder 'none'"):
        _items(tmp_path, repository.path, branch="main", path="none")
    with pytest.raises(NotFound, match="no repository at this address"):
        _items(tmp_path, tmp_path / "nowhere")


def test_locks_left_by_a_git_that_was_killed_do_not_matter(tmp_path: Path, repository: Repository) -> None:
    _items(tmp_path, repository.path, branch="main")
    (mirror,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    (ref,) = (path for path in mirror.glob("refs/groundwork/*"))
    for lock in (mirror / "shallow.lock", mirror / "config.lock", ref.with_name(ref.name + ".lock")):
        lock.touch()
    repository.commit({"c.md": b"# C"})
    assert "c.md" in _paths(_items(tmp_path, repository.path, branch="main"))


def test_two_syncs_of_one_repository_take_turns(tmp_path: Path, repository: Repository) -> None:
    repository.git("branch", "other")
    found: list[list[str]] = []
    threads = [
        threading.Thread(
            target=lambda branch=branch: found.append(_paths(_items(tmp_path, repository.path, branch=branch)))
        )
        for branch in ("main", "other") * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [["a.md", "docs/b.md"]] * 8


def test_files_are_read_from_several_threads(tmp_path: Path, repository: Repository) -> None:
    repository.commit({f"f{number}.txt": f"{number}\n".encode() * 1000 for number in range(40)})
    with _source(tmp_path, repository.path, branch="main", include=["f*.txt"]) as source:
        items = list(source.items())
        wrong: list[str] = []

        def read() -> None:
            for item in items:
                number = item.filename.removeprefix("f").removesuffix(".txt")
                if item.read() != f"{number}\n".encode() * 1000:
                    wrong.append(item.uri)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(items) == 40
        assert not wrong


# Over HTTP


@contextmanager
def _serving(folder: Path, redirect_to: str | None = None, silent: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Serves the repositories below `folder` by `git http-backend`; the port, and the paths asked for."""
    asked: list[str] = []
    quiet = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if silent:
                quiet.wait(30)
            if redirect_to is not None:
                self.send_response(302)
                self.send_header("Location", redirect_to + self.path)
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            environment = os.environ | {
                "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            }  # fmt: skip
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        quiet.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


_HERE = Gate(allow_private=True, resolve=lambda *_: ["127.0.0.1"])


def test_git_connects_to_the_address_that_was_judged(tmp_path: Path, repository: Repository) -> None:
    """The name exists nowhere else: git can only know its address from the one who judged it."""
    with _serving(repository.path.parent) as (port, asked):
        items = _items(tmp_path, f"http://code.groundwork.invalid:{port}/book", _HERE)
        assert _paths(items) == ["a.md", "docs/b.md"]
        assert items[0].uri == f"git+http://code.groundwork.invalid:{port}/book@HEAD:a.md"
    assert asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]"])
def test_this_machine_is_refused_unless_allowed(tmp_path: Path, repository: Repository, host: str) -> None:
    with _serving(repository.path.parent) as (port, asked):
        with pytest.raises(Refused, match="leads to"):
            _items(tmp_path, f"http://{host}:{port}/book")
        assert not asked


def test_a_redirect_to_another_machine_is_not_followed(tmp_path: Path, repository: Repository) -> None:
    with _serving(repository.path.parent) as (inside, asked_inside):
        with (
            _serving(repository.path, redirect_to=f"http://127.0.0.1:{inside}") as (port, _),
            pytest.raises(Invalid, match="moved"),
        ):
            _items(tmp_path, f"http://code.groundwork.invalid:{port}/book", _HERE)
        assert not asked_inside


def test_a_server_that_never_answers_ends_with_the_time_limit(tmp_path: Path, repository: Repository) -> None:
    with _serving(repository.path.parent, silent=True) as (port, _):
        began = time.monotonic()
        with pytest.raises(Unavailable, match="did not finish within 1 seconds"):
            _items(tmp_path, f"http://code.groundwork.invalid:{port}/book", _HERE, timeout=1)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(("path", "kind"), [("none", NotFound), ("", NotFound)])
def test_a_repository_that_is_not_served_is_missing(
    tmp_path: Path, repository: Repository, path: str, kind: type[GroundworkError]
) -> None:
    with _serving(repository.path.parent) as (port, _), pytest.raises(kind):
        _items(tmp_path, f"http://code.groundwork.invalid:{port}/{path}", _HERE)


def test_no_helper_program_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "owned"
    with pytest.raises(Invalid):
        _items(tmp_path, f"ext::sh -c 'touch {trace}'")
    assert not trace.exists()
