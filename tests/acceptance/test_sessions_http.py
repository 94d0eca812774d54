"""Conversations as their owner meets them, over HTTP and at the command line."""

import asyncio
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from groundwork.assembly import open_platform
from groundwork.settings import EmbedderSettings, Settings
from plugins.service import Service, command, command_json, service

_CITATION = {
    "index": 1,
    "title": "Handbook",
    "page": 4,
    "collection": "default",
    "document_id": "01a1fca8-463e-7cfb-839b-8e59b6ab32e5",
    "version": "sha256:00",
    "source_span": {"start": 3, "end": 9},
    "quote": "Sixteen weeks.",
    "verified": True,
    "uri": "file:///handbook.md",
}


@pytest.fixture(scope="module")
def running() -> Generator[tuple[Service, Path]]:
    data_dir = Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data"
    with service(data_dir) as serving:
        yield serving, data_dir


def _talk(data_dir: Path, account: str, *questions: str) -> str:
    """The id of a conversation that an account has had."""

    async def inside() -> str:
        settings = Settings(data_dir=data_dir, embedder=EmbedderSettings(kind="hashing"), log_level="error")
        async with open_platform(settings) as platform:
            session = await platform.sessions.begin(account, questions[0])
            for question in questions:
                body = {"answer": "Sixteen weeks. [1]", "mode": "extracted", "citations": [_CITATION]}
                await platform.sessions.add(session.id, account, question, body, [])
            return str(session.id)

    return asyncio.run(inside())


def _kind(reply: Any) -> tuple[int, str]:
    return reply.status, reply.headers["Content-Type"]


def test_a_program_keeps_its_conversations_over_http(running: tuple[Service, Path]) -> None:
    serving, data_dir = running
    key = _talk(data_dir, "key:test", "How long is leave?", "And for fathers?", "Paid?")
    [listed] = serving.call("GET", "/api/v1/sessions").body["items"]
    assert (listed["id"], listed["title"], listed["turn_count"]) == (key, "How long is leave?", 3)
    at = f"/api/v1/sessions/{key}"
    first = serving.call("GET", f"{at}?limit=2").body
    assert [turn["question"] for turn in first["turns"]] == ["How long is leave?", "And for fathers?"]
    assert first["turns"][0]["answer"]["citations"] == [_CITATION]
    rest = serving.call("GET", f"{at}?limit=2&cursor={first['next_cursor']}").body
    assert [turn["question"] for turn in rest["turns"]] == ["Paid?"]

    assert serving.call("PATCH", at, {"title": "Leave"}).body["title"] == "Leave"
    exported = serving.call("GET", f"{at}/export")
    assert _kind(exported) == (200, "application/json")
    assert exported.headers["Content-Disposition"] == f'attachment; filename="conversation-{key}.json"'
    assert [turn["question"] for turn in exported.body["turns"]] == ["How long is leave?", "And for fathers?", "Paid?"]
    markdown = serving.call("GET", f"{at}/export?format=markdown")
    assert _kind(markdown) == (200, "text/markdown; charset=utf-8")
    assert b"## 3. Paid?" in markdown.content
    assert b"   > Sixteen weeks." in markdown.content

    assert serving.call("GET", "/admin/stats").body["turns"] >= 3
    assert serving.call("DELETE", at).body["id"] == key
    for method, path in (("GET", at), ("DELETE", at), ("PATCH", at), ("GET", f"{at}/export")):
        assert serving.call(method, path, {"title": "x"} if method == "PATCH" else None).status == 404


def test_bad_requests_are_told_so(running: tuple[Service, Path]) -> None:
    serving, data_dir = running
    key = _talk(data_dir, "key:test", "How long is leave?")
    at = f"/api/v1/sessions/{key}"
    assert {
        serving.call(method, path, body).status
        for method, path, body in (
            ("GET", "/api/v1/sessions?cursor=x", None),
            ("GET", "/api/v1/sessions?cursor=99999999999999999999.x", None),
            ("GET", "/api/v1/sessions?limit=0", None),
            ("GET", f"{at}?cursor=-1", None),
            ("GET", f"{at}?cursor={2**70}", None),
            ("GET", f"{at}/export?format=pdf", None),
            ("PATCH", at, {"title": ""}),
            ("PATCH", at, {"title": " \t "}),
            ("PATCH", at, {"title": "x" * 201}),
            ("PATCH", at, {"title": "nul \0"}),
            ("PATCH", at, {"owner": "me"}),
            ("PATCH", at, {}),
        )
    } == {422}
    for name in ("x", "new", "%00", "%F0%9F%99%82", "0" * 32, "a" * 3000, "..%2F1"):
        assert serving.call("GET", f"/api/v1/sessions/{name}").status in {404, 422}, name
    searching = command_json(data_dir, "keys", "create", "test", "--scope", "search")["key"]
    assert serving.knowing(searching).call("GET", "/api/v1/sessions").status == 403


def test_an_operator_has_conversations_of_their_own_at_the_command_line(running: tuple[Service, Path]) -> None:
    serving, data_dir = running
    assert serving.call("POST", "/admin/users", {"name": "ada"}).status == 201
    adas = _talk(data_dir, "ada", "Ada asks?", "Ada asks again?")
    assert command(data_dir, "sessions", "show", adas).returncode == 4

    as_ada = ("--as", "ada", "sessions")
    assert "Ada asks?" in command(data_dir, *as_ada, "list").stdout
    shown = command(data_dir, *as_ada, "show", adas).stdout
    assert "2. Ada asks again?\nSixteen weeks. [1]\n[1] Handbook, page 4" in shown
    assert command(data_dir, *as_ada, "rename", adas, "Leave").stdout == f"{adas}: Leave\n"
    assert command(data_dir, *as_ada, "export", adas).stdout.startswith("# Leave\n")
    exported = command(data_dir, *as_ada, "export", adas, "--format", "json").stdout
    assert '"question": "Ada asks again?"' in exported
    about = command(data_dir, "users", "export", "ada").stdout
    assert '"question": "Ada asks again?"' in about
    assert command(data_dir, *as_ada, "delete", adas, "--yes").stdout == "Removed Leave with 2 questions.\n"


def test_a_collection_is_made_private_and_open_again(running: tuple[Service, Path]) -> None:
    serving, data_dir = running
    made = serving.call("POST", "/api/v1/collections", {"name": "plans", "private": True}).body
    assert made["private"]
    assert not serving.call("POST", "/api/v1/collections", {"name": "open"}).body["private"]
    opened = serving.call("PATCH", "/api/v1/collections/plans", {"private": False}).body
    assert (opened["private"], opened["generation"]) == (False, made["generation"] + 1)
    assert serving.call("PATCH", "/api/v1/collections/nowhere", {"private": True}).status == 404
    assert serving.call("PATCH", "/api/v1/collections/plans", {}).status == 422
    said = command(data_dir, "collections", "private", "plans").stdout
    assert said == "plans: its passages go to private models only.\n"
    assert serving.call("GET", "/api/v1/collections/plans").body["private"]
    assert not command_json(data_dir, "collections", "private", "plans", "--off")["private"]
    entries = serving.call("GET", "/admin/audit?action=privacy_changed").body["items"]
    assert [(each["subject"], each["details"]) for each in entries] == [
        ("plans", {"private": private}) for private in (False, True, False)
    ]
