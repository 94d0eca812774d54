"""What stands before every route: hosts, how many at once, headers and origins."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from groundwork.api.app import create_app
from groundwork.api.gates import around
from groundwork.settings import HttpSettings

_OURS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


def _client(app: ASGIApp, base: str = "http://localhost:8000") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=base)


def _ask(
    http: HttpSettings,
    host: str = "localhost",
    path: str = "/",
    method: str = "GET",
    app: ASGIApp = _hello,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with _client(around(app, http)) as client:
            return await client.request(method, path, headers={"Host": host, **(headers or {})})

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "host", ["localhost:8000", "a.localhost", "127.0.0.1", "127.9.9.9:1", "[::1]:8000", "LOCALHOST."]
)
def test_on_loopback_names_of_this_machine_are_answered(host: str) -> None:
    assert _ask(HttpSettings(), host).text == "hello"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.168.1.5:8000", "127.0.0.1@evil.example", ""]
)
def test_on_loopback_another_name_is_refused_which_stops_dns_rebinding(host: str) -> None:
    reply = _ask(HttpSettings(), host)
    assert reply.status_code == 421
    assert reply.headers["content-type"] == "application/problem+json"
    assert "GROUNDWORK_HTTP__ALLOWED_HOSTS" in reply.json()["detail"]


def test_allowed_hosts_are_answered_and_no_others() -> None:
    http = HttpSettings(host="0.0.0.0", allowed_hosts=["Docs.example.org"])
    statuses = {host: _ask(http, host).status_code for host in ("docs.example.org:443", "localhost", "example.org")}
    assert statuses == {"docs.example.org:443": 200, "localhost": 200, "example.org": 421}


def test_beyond_loopback_any_host_is_answered_until_some_are_named() -> None:
    assert _ask(HttpSettings(host="0.0.0.0"), "whatever.example").status_code == 200


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_probes_are_answered_under_any_host(path: str) -> None:
    assert _ask(HttpSettings(), "10.1.2.3:8000", path).status_code == 200
    assert _ask(HttpSettings(), "10.1.2.3:8000", "/healthy").status_code == 421


def test_one_request_too_many_is_answered_at_once_and_its_body_is_not_read() -> None:
    async def check() -> None:
        go_on, read = asyncio.Event(), list[bytes]()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/slow":
                await go_on.wait()
            await _hello(scope, receive, send)

        async def body() -> Any:
            read.append(b"x")
            yield b"x"

        async with _client(around(slow, HttpSettings(max_requests=2))) as client:
            running = [asyncio.create_task(client.get("/slow")) for _ in range(2)]
            await asyncio.sleep(0.05)
            refused = await client.post("/", content=body())
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "GROUNDWORK_HTTP__MAX_REQUESTS" in refused.json()["detail"]
            assert read == []
            assert (await client.get("/health")).status_code == 200
            go_on.set()
            assert [(await each).status_code for each in running] == [200, 200]
            assert (await client.get("/")).status_code == 200

    asyncio.run(check())


def test_a_request_that_fails_gives_its_place_back() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    async def check() -> list[int]:
        async with _client(around(broken, HttpSettings(max_requests=1))) as client:
            return [(await client.get("/")).status_code for _ in range(3)]

    assert asyncio.run(check()) == [500, 500, 500]


def test_every_answer_carries_the_headers_that_hold_browsers_back() -> None:
    refused = _ask(HttpSettings(), "evil.example")
    for reply in (_ask(HttpSettings()), refused):
        assert {name: reply.headers.get(name) for name in _OURS} == _OURS
        assert "strict-transport-security" not in reply.headers


def test_an_answer_keeps_its_own_cache_control() -> None:
    async def cached(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("hello", headers={"Cache-Control": "no-cache"})(scope, receive, send)

    assert _ask(HttpSettings(), app=cached).headers["cache-control"] == "no-cache"


def test_transport_security_is_promised_only_under_tls(tmp_path: Any) -> None:
    with_tls = HttpSettings(tls_certificate=tmp_path / "a", tls_key=tmp_path / "b")
    assert _ask(with_tls).headers["strict-transport-security"] == "max-age=31536000"


def _whole_app() -> ASGIApp:
    def no_platform() -> Any:
        raise AssertionError("nothing here needs the platform")

    app = create_app(no_platform, HttpSettings(cors_origins=["https://app.example.org"]))

    @app.get("/broken")
    async def broken() -> None:  # pyright: ignore[reportUnusedFunction]
        raise RuntimeError("broken")

    return app


def _ask_whole(path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with _client(_whole_app()) as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_a_fault_is_answered_with_the_headers_too() -> None:
    reply = _ask_whole("/broken", {"Origin": "https://app.example.org"})
    assert reply.status_code == 500
    assert {name: reply.headers.get(name) for name in _OURS} == _OURS
    assert reply.headers["access-control-allow-origin"] == "https://app.example.org"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_policy_of_the_documentation_names_where_its_parts_come_from(path: str) -> None:
    reply = _ask_whole(path)
    sources = set(reply.text.split('"')[1::2])
    policy = reply.headers["content-security-policy"]
    wanted = {"/".join(each.split("/")[:3]) for each in sources if each.startswith("https://")}
    assert wanted
    assert all(origin in policy for origin in wanted), wanted
    assert "frame-ancestors 'none'" in policy


def test_pages_of_an_allowed_origin_may_call_and_read_the_limits() -> None:
    http = HttpSettings(cors_origins=["https://app.example.org"])
    preflight = {
        "Origin": "https://app.example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-api-key, content-type",
    }
    reply = _ask(http, method="OPTIONS", headers=preflight)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "access-control-allow-credentials" not in reply.headers
    exposed = _ask(http, headers={"Origin": "https://app.example.org"}).headers["access-control-expose-headers"]
    assert exposed == "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.org.evil.example", "null", "http://app.example.org"]
)
def test_pages_of_other_origins_get_no_leave(origin: str) -> None:
    http = HttpSettings(cors_origins=["https://app.example.org"])
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for reply in (
        _ask(http, method="OPTIONS", headers=asked),
        _ask(http, headers=asked),
        _ask(HttpSettings(), headers=asked),
    ):
        assert "access-control-allow-origin" not in reply.headers
