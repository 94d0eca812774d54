"""No test reaches the internet: a connection, datagram or name look-up that would leave this machine raises.

Python reports every socket call to audit hooks, so this covers all of this process from the first import on. Programs
that tests start get a proxy where nobody listens, which stops them as far as they heed it.
"""

import ipaddress
import os
import socket
import sys
from collections.abc import Generator
from typing import Any

import pytest

_NOBODY = "http://127.0.0.1:9"


class ReachedOutError(RuntimeError):
    """A test tried to reach beyond this machine. Not an OSError, so that no code mistakes it for a network failure."""


_refused: list[str] = []


def _is_here(host: object) -> bool:
    name = (host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)).partition("%")[0].lower()
    if name in {"", "localhost", socket.gethostname().lower()} or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_address(host: object) -> bool:
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


def _refuse(what: str) -> None:
    _refused.append(what)
    raise ReachedOutError(f"A test must not reach the internet: {what}")


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = arguments[1]
        if isinstance(address, tuple) and not _is_here(address[0]):
            _refuse(f"{event} to {address}")
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        if host is not None and not _is_address(host) and not _is_here(host):
            _refuse(f"look-up of {host!r}")


def pytest_configure() -> None:
    """Starts the watch before any test module is imported."""
    sys.addaudithook(_watch)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ[variable] = os.environ[variable.lower()] = _NOBODY
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1,::1"


@pytest.fixture(autouse=True)
def nothing_reached_out() -> Generator[None]:
    """Fails a test that tried, also when the code under test swallowed the refusal."""
    _refused.clear()
    yield
    assert not _refused, f"This test tried to reach the internet: {_refused}"


@pytest.fixture
def refused_connections() -> list[str]:
    """What the guard refused during this test; a test of the guard empties it."""
    return _refused
