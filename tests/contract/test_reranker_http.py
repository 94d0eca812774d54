"""How the reranker over HTTP behaves when the server is busy, wrong or gone, and that its key stays with it."""

import asyncio
import logging
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from groundwork.errors import Invalid, Unavailable
from groundwork.rerankers.http import HttpReranker
from groundwork.settings.models import RerankerSettings
from plugins.reranking_server import Reply, RerankingServer, serve_reranking

_KEY = "sk-very-secret-0123456789"
_TEXTS = ["the lamp", "the kettle boils"]


@pytest.fixture
def server() -> Generator[RerankingServer]:
    with serve_reranking() as running:
        yield running


def _score(url: str, question: str = "kettle", texts: Sequence[str] = _TEXTS, **settings: Any) -> list[list[float]]:
    """The scores of the same question asked twice."""

    async def inside() -> list[list[float]]:
        reranker = HttpReranker(RerankerSettings(kind="http", url=url, **{"timeout_seconds": 30, **settings}))
        try:
            return [await reranker.score(question, texts) for _ in range(2)]
        finally:
            await reranker.close()

    return asyncio.run(inside())


def test_it_asks_as_the_protocol_has_it(server: RerankingServer) -> None:
    _score(server.url, model="test-model")
    assert server.requests[0] == {
        "model": "test-model",
        "query": "kettle",
        "documents": _TEXTS,
        "top_n": 2,
        "return_documents": False,
    }
    assert server.paths == ["/v1/rerank"] * 2
    assert server.authorizations == [None] * 2


def test_no_model_is_named_where_none_is_set(server: RerankingServer) -> None:
    _score(server.url + "/v1/")
    assert "model" not in server.requests[0]
    assert server.paths[0] == "/v1/rerank"


def test_a_server_of_the_other_kind_is_found_out_once() -> None:
    with serve_reranking(speaks_tei=True) as server:
        _score(server.url)
    assert server.paths == ["/v1/rerank", "/rerank", "/rerank"]
    assert server.requests[-1] == {"query": "kettle", "texts": _TEXTS, "truncate": True}


def test_a_server_that_changes_its_kind_is_found_out_again() -> None:
    async def inside(server: RerankingServer) -> list[float]:
        reranker = HttpReranker(RerankerSettings(kind="http", url=server.url, timeout_seconds=30))
        await reranker.score("kettle", _TEXTS)
        server.speaks_tei = False
        with pytest.raises(Unavailable, match="404"):
            await reranker.score("kettle", _TEXTS)
        scores = await reranker.score("kettle", _TEXTS)
        await reranker.close()
        return scores

    with serve_reranking(speaks_tei=True) as server:
        assert asyncio.run(inside(server)) == [0, 1]


def test_of_a_long_question_the_start_is_sent(server: RerankingServer) -> None:
    _score(server.url, "why " * 2000)
    assert server.requests[0]["query"] == "why " * 250


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ("0.2, 0.9", [0.2, 0.9]),
        ("0, 1", [0, 1]),
        ("-0.0000001, 1.0000001", [0, 1]),
        ("0.0, 2.0", [0.5, 0.8808]),
        ("-1000, 1000", [0, 1]),
    ],
)
def test_scores_without_bounds_are_brought_into_them(
    server: RerankingServer, scores: str, expected: list[float]
) -> None:
    first, second = scores.split(", ")
    server.replies.append(
        Reply(200, f'[{{"index": 0, "score": {first}}}, {{"index": 1, "relevance_score": {second}}}]')
    )
    assert _score(server.url)[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(200, "<html>a login page</html>"), "does not speak"),
        (Reply(200, "null"), "does not speak"),
        (Reply(200, '{"results": [{"index": "0", "relevance_score": 1}]}'), "does not speak"),
        (Reply(200, '{"results": [{"index": 0, "relevance_score": null}]}'), "does not speak"),
        (Reply(200, '{"results": [{"index": 0, "relevance_score": 1' + "0" * 400 + "}]}"), "does not speak"),
        (Reply(200, "[" * 100_000), "does not speak"),
        (Reply(200, '{"results": []}'), "0 scores for 2 texts"),
        (Reply(200, '[{"index": 0, "score": 1}]'), "1 scores for 2 texts"),
        (Reply(200, '[{"index": 0, "score": 1}, {"index": 0, "score": 1}]'), "not one for each"),
        (Reply(200, '[{"index": 0, "score": 1}, {"index": 2, "score": 1}]'), "not one for each"),
        (Reply(200, '[{"index": 0, "score": 1}, {"index": 1, "score": NaN}]'), "no number"),
        (Reply(200, '[{"index": 0, "score": 1}, {"index": 1, "score": 1e999}]'), "no number"),
        (Reply(400, "input too long"), r"RERANKER__MODEL.*input too long"),
        (Reply(413, "too many"), r"smaller GROUNDWORK_RERANKER__CANDIDATES"),
        (Reply(302, headers={"Location": "/elsewhere"}), "302"),
        (Reply(500), "answered 500"),
        (Reply(429), "answered 429"),
    ],
)
def test_a_wrong_answer_is_an_error_with_advice(server: RerankingServer, reply: Reply, says: str) -> None:
    server.replies.append(reply)
    with pytest.raises(Unavailable, match=says):
        _score(server.url)
    assert len(server.requests) == 1


def test_a_model_that_is_not_there_says_what_to_check(server: RerankingServer) -> None:
    server.replies.extend([Reply(404, "no such model")] * 2)
    with pytest.raises(Unavailable, match=r"RERANKER__URL and GROUNDWORK_RERANKER__MODEL"):
        _score(server.url)


def test_a_server_that_is_gone_is_unavailable() -> None:
    with serve_reranking() as server:
        pass
    with pytest.raises(Unavailable, match="does not answer"):
        _score(server.url)


def test_a_server_that_stalls_is_unavailable(server: RerankingServer) -> None:
    server.may_answer.clear()
    with pytest.raises(Unavailable, match="GROUNDWORK_RERANKER__TIMEOUT_SECONDS"):
        _score(server.url, timeout_seconds=0.2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_the_key_is_sent_and_told_to_nobody(
    server: RerankingServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    server.replies.extend([Reply(status, f"Incorrect API key provided: {_KEY}")] * 2)
    with pytest.raises(Unavailable) as refused:
        _score(server.url, api_key=SecretStr(_KEY))
    assert server.authorizations[0] == f"Bearer {_KEY}"
    seen = f"{refused.value!r} {refused.value.details} {refused.value.__cause__!r} {caplog.text}"
    assert _KEY not in seen


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-…"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(Invalid, match="GROUNDWORK_RERANKER__API_KEY") as refused:
        HttpReranker(RerankerSettings(kind="http", api_key=SecretStr(key)))
    assert "sk-" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://127.0.0.1", "http://", "http://host:port", "http://user:word@host", "http://h?key=1"],
)
def test_an_address_that_is_none_is_refused_with_the_settings(url: str) -> None:
    with pytest.raises(ValidationError, match="url of the reranker is not a plain"):
        RerankerSettings(kind="http", url=url)


@pytest.mark.parametrize(
    ("url", "private", "is_private"),
    [
        ("http://127.0.0.1:8080", False, True),
        ("http://localhost:8080/", False, True),
        ("http://[::1]:8080", False, True),
        ("https://rerank.example.org", False, False),
        ("https://localhost.example.org", False, False),
        ("https://rerank.example.org", True, True),
    ],
)
def test_only_this_machine_is_private_unless_said_otherwise(url: str, private: bool, is_private: bool) -> None:
    assert HttpReranker(RerankerSettings(kind="http", url=url, private=private)).private is is_private


def test_a_server_on_this_machine_is_not_asked_by_way_of_a_proxy(
    server: RerankingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_reranking() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        _score(server.url)
        assert (len(server.requests), proxy.requests) == (2, [])
