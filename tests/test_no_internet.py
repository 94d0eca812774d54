"""The guard that keeps tests on this machine."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from groundwork.llms import Message, ModelFailed, Prompt, Usage
from groundwork.llms.served import Line, PydanticAiModel
from groundwork.settings.models import ProviderSettings
from plugins.no_internet import ReachedOutError

# Reserved for documentation (RFC 5737, RFC 2606): nobody answers there even without the guard.
_ADDRESS = "192.0.2.1"
_NAME = "groundwork.example"


def _connect() -> None:
    with socket.socket() as client:
        client.connect((_ADDRESS, 80))


def _send_datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"x", (_ADDRESS, 53))


@pytest.mark.parametrize(
    "reach_out",
    [
        _connect,
        _send_datagram,
        lambda: socket.getaddrinfo(_NAME, 443),
        lambda: httpx.get(f"http://{_NAME}/", trust_env=False),
        lambda: asyncio.run(_open_connection()),
    ],
    ids=["connect", "datagram", "look-up", "httpx", "asyncio"],
)
def test_reaching_beyond_this_machine_is_refused(
    reach_out: Callable[[], object], refused_connections: list[str]
) -> None:
    with pytest.raises(ReachedOutError):
        reach_out()
    assert len(refused_connections) == 1
    refused_connections.clear()


async def _open_connection() -> None:
    await asyncio.open_connection(_NAME, 443)


def test_connections_within_this_machine_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port), timeout=5) as client:
            assert client.getpeername() == ("127.0.0.1", port)


def test_programs_started_by_tests_meet_a_dead_proxy() -> None:
    program = "import httpx; httpx.get('http://192.0.2.1/', timeout=2)"
    done = subprocess.run([sys.executable, "-c", program], env=dict(os.environ), capture_output=True, check=False)
    assert done.returncode != 0
    assert b"Connection refused" in done.stderr


@pytest.mark.parametrize(("kind", "host"), [("openai", "api.openai.com"), ("anthropic", "api.anthropic.com")])
def test_no_test_asks_a_paid_model(kind: str, host: str, refused_connections: list[str]) -> None:
    settings = ProviderSettings.model_validate({"name": kind, "kind": kind, "models": ["m"], "api_key": "sk-none"})

    async def ask() -> None:
        line = Line(settings)
        try:
            async for _ in PydanticAiModel(line, "m").stream(Prompt("", (Message("user", "?"),), 16), Usage()):
                pass
        finally:
            await line.close()

    with pytest.raises(ModelFailed):
        asyncio.run(ask())
    assert any(host in refused for refused in refused_connections)
    refused_connections.clear()
