"""Identity over HTTP: every route declares what it needs, and holds its caller to it."""

import re
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Route

from groundwork.api.app import create_app
from groundwork.api.state import Needs, Public
from groundwork.settings import HttpSettings
from plugins.service import Reply, Service, command, command_json, new_key, service

PASSWORD = "correct horse battery"
_PUBLIC = {"/auth/token", "/auth/oidc/login", "/auth/oidc/callback", "/metrics"}
_FRAMEWORK = {"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}


def _declared(dependant: Dependant) -> Iterator[Needs | Public]:
    if isinstance(dependant.call, Needs | Public):
        yield dependant.call
    for each in dependant.dependencies:
        yield from _declared(each)


def _routes() -> list[APIRoute | Route]:
    @asynccontextmanager
    async def nothing() -> Any:
        yield None

    app = create_app(nothing, HttpSettings())
    found: list[APIRoute | Route] = []
    for each in app.routes:
        inside: list[Any] = each.original_router.routes if hasattr(each, "original_router") else [each]
        found += [route for route in inside if isinstance(route, APIRoute | Route)]
    return found


def test_every_route_declares_what_it_needs() -> None:
    routes = _routes()
    assert len(routes) > 50
    for route in routes:
        if not isinstance(route, APIRoute):
            assert route.path in _FRAMEWORK
            continue
        declared = {each.scope if isinstance(each, Needs) else "public" for each in _declared(route.dependant)}
        assert declared, f"{route.path} declares nothing"
        assert ("public" in declared) == (route.path.startswith("/health") or route.path in _PUBLIC), route.path
        if route.path.startswith("/admin") or route.path == "/ingest":
            assert declared == {"admin"}, route.path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Service, Path]]:
    data_dir = Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data"
    with service(data_dir) as serving:
        yield serving, data_dir


def _sign_in(serving: Service, name: str, password: str = PASSWORD) -> Reply:
    form = urlencode({"username": name, "password": password}).encode()
    return serving.call(
        "POST", "/auth/token", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )


def _as(reply: Reply) -> dict[str, str]:
    return {"Authorization": f"Bearer {reply.body['access_token']}"}


def test_nobody_gets_anything_without_credentials(running: tuple[Service, Path]) -> None:
    nobody = running[0].knowing("")
    for route in _routes():
        if not isinstance(route, APIRoute) or route.path.startswith("/health") or route.path in _PUBLIC:
            continue
        path = re.sub(r"{job_id}", "01a1fca8-463e-7cfb-839b-8e59b6ab32e5", route.path)
        path = re.sub(r"{[^}]*}", "x", path)
        for method in route.methods or ():
            for headers in (
                {},
                {"X-API-Key": "gw_00000000_x"},
                {"Authorization": "Bearer a.b.c"},
                {"Authorization": "Basic YTpi"},
            ):
                reply = nobody.call(method, path, {} if method != "GET" else None, headers=headers)
                assert reply.status == 401, (method, path, reply.status)
                assert reply.headers["WWW-Authenticate"] == "Bearer"
                assert reply.headers["Content-Type"] == "application/problem+json"


def test_a_person_signs_in_works_and_signs_out(running: tuple[Service, Path]) -> None:
    serving, _ = running
    made = serving.call("POST", "/admin/users", {"name": "ada", "password": PASSWORD})
    assert (made.status, made.body["role"], made.body["password"]) == (201, "member", None)
    signed_in = _sign_in(serving, "ada")
    assert (signed_in.status, signed_in.body["token_type"], signed_in.body["expires_in"]) == (200, "bearer", 1800)
    me = serving.call("GET", "/auth/me", headers=_as(signed_in)).body
    assert (me["user"], me["scopes"]) == ("ada", ["ask", "search"])
    assert serving.call("POST", "/api/v1/search", {"query": "anything"}, headers=_as(signed_in)).status == 200
    assert serving.call("GET", "/admin/users", headers=_as(signed_in)).status == 403
    assert serving.call("GET", "/api/v1/jobs", headers=_as(signed_in)).status == 403
    assert serving.call("POST", "/auth/logout", headers=_as(signed_in)).status == 204
    assert serving.call("GET", "/auth/me", headers=_as(signed_in)).status == 401

    again = _sign_in(serving, "ada")
    changed = serving.call("POST", "/auth/password", {"current": PASSWORD, "new": PASSWORD[::-1]}, headers=_as(again))
    assert changed.status == 204
    assert serving.call("GET", "/auth/me", headers=_as(again)).status == 401
    assert _sign_in(serving, "ada").status == 401
    assert _sign_in(serving, "ada", PASSWORD[::-1]).status == 200


def test_wrong_names_and_wrong_passwords_are_told_alike(running: tuple[Service, Path]) -> None:
    serving, _ = running
    serving.call("POST", "/admin/users", {"name": "eve", "password": PASSWORD})
    wrong = [_sign_in(serving, name, "not the password").body for name in ("eve", "nobody-of-that-name")]
    assert wrong[0] == wrong[1]
    assert wrong[0]["status"] == 401


def test_what_the_operator_changes_holds_at_once(running: tuple[Service, Path]) -> None:
    serving, data_dir = running
    serving.call("POST", "/admin/users", {"name": "bob", "password": PASSWORD, "role": "reviewer"})
    signed_in = _sign_in(serving, "bob")
    assert serving.call("GET", "/api/v1/jobs", headers=_as(signed_in)).status == 200
    assert command(data_dir, "users", "disable", "bob").returncode == 0
    assert serving.call("GET", "/api/v1/jobs", headers=_as(signed_in)).status == 401
    assert command(data_dir, "users", "enable", "bob").returncode == 0
    key = command_json(data_dir, "keys", "create", "bobs", "--scope", "search", "--user", "bob")
    assert set(key) >= {"id", "key"}
    bobs = serving.knowing(key["key"])
    assert bobs.call("GET", "/auth/me").body["user"] == "bob"
    assert command(data_dir, "keys", "revoke", "bobs").returncode == 0
    assert bobs.call("GET", "/auth/me").status == 401
    rotated = command(data_dir, "secrets", "rotate")
    assert rotated.returncode == 0
    assert _sign_in(serving, "bob").status == 200
    listed = command_json(data_dir, "audit", "list")["items"]
    assert {"user_disabled", "key_created", "key_revoked", "secret_rotated"} <= {each["action"] for each in listed}
    assert all(each["actor"].startswith("operator:") for each in listed if each["action"] == "user_disabled")
    assert command_json(data_dir, "audit", "verify")["whole"]


def test_members_find_only_what_they_may_read(running: tuple[Service, Path]) -> None:
    serving, data_dir = running
    for name, words in (("public", "The canteen opens at noon."), ("board", "The merger closes in May.")):
        document = serving.upload(f"{name}.md", f"# {name}\n\n{words}\n".encode(), name).body
        assert serving.document_when_done(document["id"])["status"] == "ready"
    assert command(data_dir, "collections", "access", "board", "--user", "carol").returncode == 0
    for name in ("carol", "dave"):
        serving.call("POST", "/admin/users", {"name": name, "password": PASSWORD})
    carol, dave = (_as(_sign_in(serving, name)) for name in ("carol", "dave"))
    merger = {"query": "When does the merger close?"}
    seen = [
        [each["text"] for each in serving.call("POST", "/api/v1/search", merger, headers=who).body["passages"]]
        for who in (carol, dave)
    ]
    assert any("merger" in text for text in seen[0])
    assert not any("merger" in text for text in seen[1])
    assert serving.call("GET", "/api/v1/collections/board", headers=dave).status == 404
    assert serving.call("GET", "/api/v1/collections/board/export", headers=dave).status == 404
    assert serving.call("GET", f"/api/v1/documents/{document['id']}", headers=dave).status == 404
    assert serving.call("GET", f"/api/v1/documents/{document['id']}/text", headers=dave).status == 404
    assert "board" not in str(serving.call("GET", "/api/v1/collections", headers=dave).body)
    mine = command(data_dir, "--as", "dave", "search", "merger", "--json")
    assert (mine.returncode, "merger closes" in mine.stdout) == (0, False)
    assert command(data_dir, "--as", "dave", "users", "list").returncode == 3


def test_a_key_cannot_upload_outside_its_collections(running: tuple[Service, Path]) -> None:
    serving, data_dir = running
    assert command(data_dir, "collections", "create", "mine").returncode == 0
    made = command_json(data_dir, "keys", "create", "narrow", "--scope", "ingest", "--scope", "search", "-c", "mine")
    narrow = serving.knowing(made["key"])
    assert narrow.upload("a.md", b"# A", "mine").status == 202
    for other in ("default", "brand-new"):
        assert narrow.upload("a.md", b"# A", other).status == 403
    assert [each["name"] for each in narrow.call("GET", "/api/v1/collections").body["items"]] == ["mine"]


def test_limits_are_told_and_kept(tmp_path: Path) -> None:
    data_dir = Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data"
    with service(data_dir, LIMITS__SEARCH_PER_MINUTE="3") as serving:
        replies = [serving.call("POST", "/api/v1/search", {"query": "x"}) for _ in range(4)]
        assert [each.status for each in replies] == [200, 200, 200, 429]
        assert [each.headers["X-RateLimit-Remaining"] for each in replies] == ["2", "1", "0", "0"]
        assert {each.headers["X-RateLimit-Limit"] for each in replies} == {"3"}
        assert 0 < int(replies[3].headers["Retry-After"]) <= 60
        assert replies[3].headers["X-RateLimit-Reset"] == replies[3].headers["Retry-After"]
        other = serving.knowing(new_key(data_dir, "search", LIMITS__SEARCH_PER_MINUTE="3"))
        assert other.call("POST", "/api/v1/search", {"query": "x"}).status == 200, (
            "another caller, though of the same name"
        )
        forged = serving.call("POST", "/api/v1/search", {"query": "x"}, headers={"X-Forwarded-For": "192.0.2.1"})
        assert forged.status == 429


def test_maintenance_mode_turns_everybody_away_but_administrators(running: tuple[Service, Path]) -> None:
    serving, data_dir = running
    assert command(data_dir, "maintenance", "on", "New disks.").returncode == 0
    try:
        time.sleep(1.1)
        reply = serving.call("POST", "/api/v1/search", {"query": "x"})
        assert (reply.status, reply.headers["Retry-After"]) == (503, "60")
        assert "New disks." in reply.body["detail"]
        assert serving.call("GET", "/health/ready").status == 200
        assert serving.call("GET", "/admin/users").status == 200
        assert serving.call("PUT", "/admin/maintenance", {"on": False}).body["on"] is False
        assert serving.call("POST", "/api/v1/search", {"query": "x"}).status == 200
    finally:
        command(data_dir, "maintenance", "off")
