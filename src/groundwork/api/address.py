"""Who is at the other end of a connection, and by which name they came: headers are believed only where they may be."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5}", re.ASCII)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{0,5})?", re.ASCII)


class ClientAddress:
    """ASGI middleware: `request.state.address` is the caller's address, as `client_address` finds it."""

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[str]) -> None:
        self.app = app
        self.trusted = [ip_network(network) for network in trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with the address."""
        if scope["type"] in {"http", "websocket"}:
            scope.setdefault("state", {})["address"] = client_address(scope, self.trusted)
        await self.app(scope, receive, send)


def client_address(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """The IP address a request came from; `unknown` when it did not come over IP.

    A proxy that is trusted names whom it speaks for, at the right end of `X-Forwarded-For`; what stands left of an
    address nobody trusts was written by that address, and is not believed.
    """
    address = _parsed(scope["client"][0]) if scope.get("client") else None
    if address is None:
        return UNKNOWN
    for each in reversed(_forwarded_for(scope)):
        if not _is_within(address, trusted_proxies):
            break
        before = _parsed(each)
        if before is None:
            break
        address = before
    return str(address)


def requested_host(scope: Scope) -> str | None:
    """The name in the Host header: lower case, without port; None when there is none, several, or it is malformed."""
    values = [value for name, value in scope["headers"] if name == b"host"]
    if len(values) != 1:
        return None
    found = _HOST.fullmatch(values[0].decode("latin-1").lower())
    return found[1].removesuffix(".") if found else None


def _forwarded_for(scope: Scope) -> list[str]:
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [each for line in lines for each in line.split(",")]


def _parsed(text: str) -> Address | None:
    """The address in `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`; IPv4 written as IPv6 becomes IPv4. None for others."""
    stripped = text.strip(" \t")
    with_port = _WITH_PORT.fullmatch(stripped)
    try:
        address = ip_address((with_port[1] or with_port[2]) if with_port else stripped)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))  # without its zone, which means nothing elsewhere


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
