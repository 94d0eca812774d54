"""Many answers streamed at once: every event of every one arrives, in order."""

import asyncio
import json
from collections.abc import Generator
from pathlib import Path

import pytest

from plugins.model_server import ModelServer, serve_models
from plugins.service import service
from plugins.streams import all_at_once, numbered

_STREAMS = 60
_PIECES = 40
_BETWEEN = 0.02


@pytest.fixture
def server() -> Generator[ModelServer]:
    with serve_models() as running:
        running.decide = numbered(_PIECES, _BETWEEN)
        yield running


def test_no_event_of_many_streams_is_lost(data_dir: Path, server: ModelServer) -> None:
    own = {"name": "own", "kind": "compatible", "url": f"{server.url}/v1", "tier": 0, "models": ["m"]}
    settings = {"LLMS__PROVIDERS": json.dumps([own]), "LIMITS__ASK_PER_MINUTE": "0"}
    with service(data_dir, **settings) as running:
        document = running.upload("rush.md", b"# The rush\n\nOf every question of the rush something is known.").body
        assert running.document_when_done(document["id"])["status"] == "ready"
        port = int(running.url.rpartition(":")[2])
        streams = asyncio.run(all_at_once(port, running.key, _STREAMS))
    assert [lost for each in streams if (lost := each.lost(_PIECES))] == []
    assert server.most_at_work > _STREAMS / 4, "they were under way at the same time"
