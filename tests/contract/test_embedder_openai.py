"""How the embedder over HTTP behaves when the server is busy, wrong or gone, and that its key stays with it."""

import logging
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from pydantic import SecretStr

from groundwork.embedders.openai import OpenAIEmbedder
from groundwork.errors import Invalid, Unavailable
from groundwork.settings import EmbedderSettings
from plugins.embedding_server import EmbeddingServer, Reply, serve_embeddings

_KEY = "sk-very-secret-0123456789"


@pytest.fixture
def server() -> Generator[EmbeddingServer]:
    with serve_embeddings() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """Seconds the embedder wanted to wait; the tests do not."""
    return []


@pytest.fixture
def embedder(server: EmbeddingServer, waits: list[float]) -> Generator[OpenAIEmbedder]:
    settings = EmbedderSettings(kind="openai", url=server.url, model="test-model", api_key=SecretStr(_KEY))
    opened = OpenAIEmbedder(settings, sleep=waits.append)
    yield opened
    opened.close()


def test_many_passages_go_in_several_requests(embedder: OpenAIEmbedder, server: EmbeddingServer) -> None:
    texts = [f"passage {n}" for n in range(150)]
    vectors = embedder.embed_passages(texts)
    assert np.allclose(vectors, server.double.embed_passages(texts), atol=1e-6)
    assert [len(request["input"]) for request in server.requests] == [64, 64, 22]
    assert {request["model"] for request in server.requests} == {"test-model"}


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again(
    embedder: OpenAIEmbedder, server: EmbeddingServer, waits: list[float], status: int
) -> None:
    server.replies.extend([Reply(status), Reply(status)])
    assert embedder.embed_passages(["again"]).shape == (1, 384)
    assert len(server.requests) == 3
    assert 0 < waits[0] <= 0.5 <= waits[1] <= 1.0


def test_the_time_a_server_asks_for_is_given(
    embedder: OpenAIEmbedder, server: EmbeddingServer, waits: list[float]
) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    server.replies.extend([Reply(429, headers={"Retry-After": "7"}), Reply(503, headers={"Retry-After": moment})])
    embedder.embed_passages(["again"])
    assert waits[0] == 7
    assert waits[1] == pytest.approx(19, abs=2)


def test_a_server_that_stays_busy_is_given_up_with_a_reason(
    embedder: OpenAIEmbedder, server: EmbeddingServer, waits: list[float]
) -> None:
    server.replies.extend([Reply(503)] * 5)
    with pytest.raises(Unavailable, match=r"after 5 attempts.*503"):
        embedder.embed_passages(["never"])
    assert len(waits) == 4


def test_nobody_with_a_question_waits_for_long(
    embedder: OpenAIEmbedder, server: EmbeddingServer, waits: list[float]
) -> None:
    server.replies.append(Reply(429, headers={"Retry-After": "20"}))
    with pytest.raises(Unavailable, match="429"):
        embedder.embed_query("now?")
    assert waits == []


def test_a_server_that_is_gone_is_unavailable(waits: list[float]) -> None:
    with serve_embeddings() as server:
        url = server.url
    embedder = OpenAIEmbedder(EmbedderSettings(kind="openai", url=url), sleep=waits.append)
    for call in (embedder.ping, lambda: embedder.embed_query("?"), lambda: embedder.embed_passages(["."])):
        with pytest.raises(Unavailable, match="does not answer"):
            call()
    embedder.close()


def test_a_server_that_hangs_is_unavailable(server: EmbeddingServer, waits: list[float]) -> None:
    server.replies.extend([Reply(200, headers={"Content-Length": "1000"})] * 2)
    settings = EmbedderSettings(kind="openai", url=server.url, timeout_seconds=0.2)
    embedder = OpenAIEmbedder(settings, sleep=waits.append)
    with pytest.raises(Unavailable, match="does not answer"):
        embedder.embed_query("anybody there?")
    embedder.close()


def test_another_dimension_says_what_to_set(server: EmbeddingServer) -> None:
    embedder = OpenAIEmbedder(EmbedderSettings(kind="openai", url=server.url, dimension=768))
    with pytest.raises(Invalid, match="GROUNDWORK_EMBEDDER__DIMENSION=384"):
        embedder.embed_query("how long?")
    embedder.close()


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(200, "<html>a login page</html>"), "does not speak"),
        (Reply(200, '{"data": [{"index": 0, "embedding": null}]}'), "does not speak"),
        (Reply(200, '{"data": []}'), "0 vectors for 1 texts"),
        (Reply(200, '{"data": [{"index": 0, "embedding": [' + ",".join(["0"] * 384) + "]}]}"), "without a direction"),
        (Reply(200, '{"data": [{"index": 0, "embedding": [' + ",".join(["NaN"] * 384) + "]}]}"), "without a direction"),
        (Reply(404, "no such model"), r"EMBEDDER__MODEL.*no such model"),
        (Reply(400, "input too long"), r"EMBEDDER__MAX_TOKENS.*input too long"),
    ],
)
def test_a_wrong_answer_is_an_error_with_advice(
    embedder: OpenAIEmbedder, server: EmbeddingServer, reply: Reply, says: str
) -> None:
    server.replies.append(reply)
    with pytest.raises(Unavailable, match=says):
        embedder.embed_query("what?")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_the_key_is_sent_and_told_to_nobody(
    embedder: OpenAIEmbedder, server: EmbeddingServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    server.replies.extend([Reply(status, f"Incorrect API key provided: {_KEY}")] * 2)
    with pytest.raises(Unavailable) as refused:
        embedder.embed_query("secret?")
    assert server.authorizations[0] == f"Bearer {_KEY}"
    seen = f"{refused.value!r} {refused.value.details} {refused.value.__cause__!r} {embedder!r} {caplog.text}"
    assert _KEY not in seen


def test_a_refused_key_fails_the_ping(embedder: OpenAIEmbedder, server: EmbeddingServer) -> None:
    server.replies.append(Reply(401))
    with pytest.raises(Unavailable, match="GROUNDWORK_EMBEDDER__API_KEY"):
        embedder.ping()


def test_a_ping_costs_nothing(embedder: OpenAIEmbedder, server: EmbeddingServer) -> None:
    server.replies.append(Reply(404))
    embedder.ping()
    embedder.ping()
    assert server.requests == []


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://127.0.0.1/v1", "http://", "http://host:port/v1"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(Invalid, match="GROUNDWORK_EMBEDDER__URL"):
        OpenAIEmbedder(EmbedderSettings(kind="openai", url=url))


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-…"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(Invalid, match="GROUNDWORK_EMBEDDER__API_KEY") as refused:
        OpenAIEmbedder(EmbedderSettings(kind="openai", api_key=SecretStr(key)))
    assert "sk-" not in str(refused.value)


def test_a_text_counted_to_fit_is_sent_whole(embedder: OpenAIEmbedder, server: EmbeddingServer) -> None:
    text = "é" * (embedder.max_tokens * 3 // 2)
    assert embedder.count_tokens(text) == embedder.max_tokens
    embedder.embed_passages([text, text + "!"])
    assert server.requests[0]["input"] == [text, text]
