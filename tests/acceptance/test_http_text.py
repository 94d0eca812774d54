"""Text over HTTP that cannot be stored: NUL characters and halves of surrogate pairs are answered with 422."""

import asyncio
import shutil
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from groundwork.access.credentials.keys import NewKey
from groundwork.access.scope import OPERATOR, SCOPES
from groundwork.assembly import open_platform
from groundwork.settings import EmbedderSettings, Settings
from plugins.embedded_process import all_gone
from plugins.installation import write
from plugins.service import Reply, Service, command, command_json, service

_ODD = ["a\0b", "a\ud800b", "\udfff"]
_ids = pytest.mark.parametrize("odd", _ODD, ids=ascii)
_DOCUMENT = "/api/v1/documents/00000000-0000-0000-0000-000000000001"


@dataclass(frozen=True)
class _Keyed(Service):
    """A service, called with a key that may do everything."""

    key: str = ""

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        return super().call(method, path, body, content, {**(headers or {}), "X-API-Key": self.key})


@pytest.fixture(scope="module")
def data_dir() -> Generator[Path]:
    above = Path(tempfile.mkdtemp(prefix="groundwork-http-"))
    yield above / "data"
    shutil.rmtree(above)


@pytest.fixture(scope="module")
def running(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    folder = write(tmp_path_factory.mktemp("docs"), {"pump.md": "The Heron pump moves forty litres a minute."})
    assert command(data_dir, "ingest", str(folder)).returncode == 0
    key = _new_key(data_dir)
    with service(data_dir) as serving:
        yield _Keyed(serving.process, serving.url, key=key)
    assert all_gone(data_dir), "the service left PostgreSQL behind"


def _new_key(data_dir: Path) -> str:
    settings = Settings(data_dir=data_dir, embedder=EmbedderSettings(kind="hashing"), log_level="error")

    async def inside() -> str:
        async with open_platform(settings) as platform:
            key = await platform.access.keys.create(NewKey("test", SCOPES), OPERATOR)
            return key["key"]

    return asyncio.run(inside())


def assert_refused(reply: Reply) -> None:
    assert reply.status == 422, reply.content
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert (reply.body["kind"], reply.body["status"]) == ("invalid", 422)
    assert reply.body["detail"]


def _bodies(odd: str) -> list[tuple[str, str, Any]]:
    narrowed = [{key: [odd]} for key in ("collections", "sources", "media_types", "tags")]
    narrowed += [{key: odd} for key in ("since", "until")]
    source = {"name": "docs", "location": "/tmp", "collection": "default"}
    return [
        ("POST", "/api/v1/search", {"query": odd}),
        ("POST", "/api/v1/ask", {"question": odd}),
        ("POST", "/api/v1/ask", {"question": odd, "stream": True}),
        *(("POST", "/api/v1/search", {"query": "pump", **each}) for each in narrowed),
        *(("POST", "/api/v1/ask", {"question": "pump", **each}) for each in narrowed),
        ("POST", "/api/v1/search", {"query": "pump", odd: 1}),
        ("POST", "/api/v1/collections", {"name": odd}),
        ("POST", "/api/v1/collections", {"name": "fine", "description": odd}),
        *(("POST", "/api/v1/sources", {**source, key: odd}) for key in ("name", "location", "collection", "schedule")),
        ("POST", "/api/v1/sources", {**source, "options": {"include": [odd]}}),
        ("POST", "/api/v1/sources", {**source, "options": {odd: "x"}}),
        ("POST", "/ingest", {"sources": [odd]}),
        ("POST", "/api/v1/spaces", {"name": odd, "kind": "hashing"}),
        ("PATCH", _DOCUMENT, {"add_tags": [odd]}),
        ("PATCH", _DOCUMENT, {"metadata": {"key": odd}}),
        ("PATCH", _DOCUMENT, {"metadata": {odd: "value"}}),
    ]


@_ids
def test_in_a_body(running: Service, odd: str) -> None:
    for method, path, body in _bodies(odd):
        assert_refused(running.call(method, path, body))


@pytest.mark.parametrize(
    "path",
    [
        *(f"/api/v1/documents?{name}=%00" for name in ("collection", "cursor", "tag")),
        f"{_DOCUMENT}/text?version=%00",
        "/api/v1/documents/%00",
        "/api/v1/documents/%00/versions",
        "/api/v1/collections?cursor=%00",
        "/api/v1/collections/a%00b",
        "/api/v1/collections/a%00b/export",
        "/api/v1/sources?cursor=%00",
        "/api/v1/sources/a%00b",
        "/api/v1/sources/a%00b/plan",
        "/api/v1/sources/docs?collection=a%00b",
        "/api/v1/jobs?kind=%00",
        "/api/v1/jobs?cursor=%00",
        "/api/v1/jobs/%00",
        "/api/v1/spaces/a%00b",
    ],
)
def test_in_a_query_or_a_path(running: Service, path: str) -> None:
    assert_refused(running.call("GET", path))


@pytest.mark.parametrize("path", ["documents", "collections", "sources"])
def test_in_what_is_to_be_removed(running: Service, path: str) -> None:
    assert_refused(running.call("DELETE", f"/api/v1/{path}/a%00b"))


def test_in_the_form_of_an_upload(running: Service) -> None:
    assert_refused(running.upload("note.txt", b"heron", collection="a\0b"))
    assert running.upload("no\0te.txt", b"heron").status == 202


def test_bytes_that_are_not_utf8_are_no_fault_of_the_service(running: Service) -> None:
    for path in (
        "/api/v1/collections/%ED%A0%80",
        "/api/v1/documents/%FF",
        "/api/v1/sources/%FF",
        "/api/v1/jobs?kind=%FF",
    ):
        assert running.call("GET", path).status in {200, 404, 422}
    reply = running.call("POST", "/api/v1/search", content=b'{"query": "\xed\xa0\x80"}')
    assert reply.status in {400, 422}


def test_a_source_that_a_path_names_is_reached_by_its_id(running: Service, data_dir: Path) -> None:
    (source,) = command_json(data_dir, "sources", "list")["items"]
    assert source["name"].startswith("/")
    reply = running.call("GET", f"/api/v1/sources/{source['id']}")
    assert (reply.status, reply.body["name"]) == (200, source["name"])
    assert running.call("GET", f"/api/v1/sources/{quote(source['name'], safe='')}").status == 404
    refused = running.call("POST", "/api/v1/sources", {"name": "a/b", "location": "/tmp"})
    assert_refused(refused)
    assert "no slash" in refused.body["detail"]
