"""Whom a request is attributed to: what decides limits and stands in the audit log must not be for the caller to choose."""

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from groundwork.api.address import ClientAddress, client_address, requested_host
from groundwork.settings.addresses import is_loopback

_TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def _scope(peer: tuple[str, int] | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded]
    return {"type": "http", "client": peer, "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # nobody asked this peer
        ("127.0.0.1", ["198.51.100.1"], "127.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the left one was sent by the caller
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, garbage, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["garbage"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1,"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["2001:DB8:0::7"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["fe80::1%1"], "fe80::1"),
        ("10.0.0.1", ["198.51.100.1:"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1 10.0.0.2"], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.\xb2"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("/run/groundwork.sock", ["198.51.100.1"], "unknown"),
    ],
)
def test_only_what_a_trusted_proxy_says_is_believed(peer: str, forwarded: list[str], address: str) -> None:
    assert client_address(_scope((peer, 4711), *forwarded), _TRUSTED) == address


def test_without_a_peer_the_address_is_unknown() -> None:
    assert client_address(_scope(None, "198.51.100.1"), _TRUSTED) == "unknown"


def test_without_trusted_proxies_no_header_is_believed() -> None:
    assert client_address(_scope(("10.0.0.1", 1), "198.51.100.1"), []) == "10.0.0.1"


@pytest.mark.parametrize(
    ("sent", "host"),
    [
        ([b"Docs.Example.org:8000"], "docs.example.org"),
        ([b"docs.example.org."], "docs.example.org"),
        ([b"[::1]:8000"], "[::1]"),
        ([b"127.0.0.1"], "127.0.0.1"),
        ([], None),
        ([b"localhost", b"evil.example"], None),
        ([b"localhost@evil.example"], None),
        ([b"localhost/evil"], None),
        ([b"localhost:80:80"], None),
        ([b"::1"], None),
        ([b""], None),
    ],
)
def test_the_host_of_a_request_is_read_strictly(sent: list[bytes], host: str | None) -> None:
    assert requested_host({"headers": [(b"host", each) for each in sent]}) == host


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here


def test_routes_find_the_address_in_the_state_of_the_request() -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope.get("state"))

    async def nothing(*_: Any) -> None: ...

    middleware = ClientAddress(app, ["10.0.0.0/8"])
    asyncio.run(middleware(_scope(("10.0.0.1", 1), "198.51.100.1"), nothing, nothing))
    asyncio.run(middleware({"type": "lifespan"}, nothing, nothing))
    assert seen == [{"address": "198.51.100.1"}, None]
