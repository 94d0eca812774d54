"""Searches with a reranker: what it orders comes in its order, and whatever it does, no search fails of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from groundwork.assembly import Platform, Request, adapters
from groundwork.errors import Invalid, Unavailable
from groundwork.rerankers import Reranker
from groundwork.rerankers.overlap import OverlapReranker
from groundwork.retrieve.rerank import Reranking
from groundwork.settings import Settings
from groundwork.settings.models import RerankerSettings
from plugins.cross_encoder import make_cross_encoder
from plugins.embedding_server import Reply
from plugins.installation import ingest, on_platform, write
from plugins.reranking_server import RerankingServer, serve_reranking

LIBRARY = {
    "heron.txt": "The heron pump, the heron pump, the heron pump: heron, heron, pump, pump.",
    "oil.txt": "When is the oil of the heron pump changed? Every autumn.",
    **{f"pump-{number}.txt": f"Pump number {number} stands in hall {number}." for number in range(12)},
}
QUESTION = "When is the oil of the heron pump changed?"
_FAILS = "the reranker fails; passages stay as they were found"


class _Backwards(OverlapReranker):
    """Turns the order around, and notes what it was shown."""

    def __init__(self, private: bool = True) -> None:
        self.shown: list[Sequence[str]] = []
        self._private = private

    @property
    def private(self) -> bool:
        return self._private

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        self.shown.append(texts)
        return [(place + 1) / len(texts) for place in range(len(texts))]


def _with(settings: Settings, reranker: RerankerSettings) -> Settings:
    return settings.model_copy(update={"reranker": reranker, "log_level": "warning"})


def _over_http(settings: Settings, server: RerankingServer, **more: Any) -> Settings:
    chosen: dict[str, Any] = {"timeout_seconds": 30, **more}
    return _with(settings, RerankerSettings(kind="http", url=server.url, **chosen))


def _put_in(monkeypatch: pytest.MonkeyPatch, reranker: Reranker) -> None:
    """Has the platform use a double, which no setting names."""
    monkeypatch.setattr(adapters, "reranker", lambda _: reranker)


async def _names(platform: Platform, **wanted: Any) -> list[str]:
    found = await platform.search(Request(QUESTION, **wanted))
    return [Path(each.chunk.uri).name for each in found.passages]


def test_passages_come_in_the_order_of_the_reranker(settings: Settings, tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        plain = await platform.search(Request(QUESTION, rerank=False))
        found = await platform.search(Request(QUESTION))
        assert (plain.reranked, found.reranked) == (False, True)
        assert "rerank" in found.timings_ms
        assert "rerank" not in plain.timings_ms
        assert found.body()["reranked"]

        best = found.passages[0]
        assert best.chunk.uri.endswith("oil.txt")
        assert best.score == 1
        assert [each.score for each in found.passages] == sorted((each.score for each in found.passages), reverse=True)
        as_found = {each.chunk.chunk_id: (each.dense, each.lexical) for each in plain.passages}
        assert as_found[best.chunk.chunk_id] == (best.dense, best.lexical)

        answer = await platform.ask(Request(QUESTION))
        assert "oil" in answer["citations"][0]["quote"]
        assert answer["timings_ms"]["rerank"] > 0

    with serve_reranking() as server:
        on_platform(_over_http(settings, server), work)
    assert server.requests[0]["query"] == QUESTION
    assert "Oil\nWhen is the oil of the heron pump changed? Every autumn." in server.requests[0]["documents"]


def test_a_cross_encoder_in_a_folder_does_the_same(settings: Settings, tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        assert (await platform.search(Request(QUESTION))).reranked
        assert (await _names(platform))[0] == "oil.txt"

    folder = make_cross_encoder(tmp_path / "model")
    chosen = RerankerSettings(kind="openvino", path=folder, threads=1, timeout_seconds=60)
    on_platform(_with(settings, chosen), work)


def test_without_a_reranker_nothing_changes(settings: Settings, tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        found = await platform.search(Request(QUESTION))
        assert not found.reranked
        assert set(found.timings_ms) == {"embed", "dense", "lexical", "fuse", "hydrate"}
        with pytest.raises(Invalid, match="GROUNDWORK_RERANKER__KIND"):
            await platform.search(Request(QUESTION, rerank=True))

    on_platform(settings, work)


def test_candidates_are_ordered_and_the_others_follow(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = _Backwards()

    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        plain = await _names(platform, limit=14, rerank=False)
        found = await platform.search(Request(QUESTION, limit=14))
        assert await _names(platform, limit=14) == plain[:5][::-1] + plain[5:]
        assert await _names(platform, limit=2) == plain[:5][::-1][:2]
        assert {len(shown) for shown in reranker.shown} == {5}
        scores = [each.score for each in found.passages]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)

    _put_in(monkeypatch, reranker)
    on_platform(_with(settings, RerankerSettings(candidates=5)), work)


@pytest.mark.parametrize("private", [False, True])
def test_passages_of_private_collections_are_shown_to_private_rerankers_only(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    reranker = _Backwards(private)

    async def work(platform: Platform) -> None:
        await platform.create_collection("secret", private=True)
        await ingest(platform, write(tmp_path / "library", LIBRARY), "open")
        await ingest(platform, write(tmp_path / "secrets", {"secret.txt": f"{QUESTION} Never."}), "secret")
        found = await platform.search(Request(QUESTION, limit=50))
        assert {each.chunk.collection for each in found.passages} == {"open", "secret"}
        assert found.reranked is private
        assert any("Never" in text for texts in reranker.shown for text in texts) is private
        assert (await platform.search(Request(QUESTION, collections=["open"]))).reranked

    _put_in(monkeypatch, reranker)
    on_platform(settings, work)


def _faults() -> list[Reply]:
    return [
        Reply(500),
        Reply(200, "<html>a login page</html>"),
        Reply(200, '{"results": [{"index": 0, "relevance_score": 1}]}'),
        Reply(401, "key sk-123 is wrong"),
    ]


def test_a_reranker_that_fails_leaves_passages_as_they_were_found(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        plain = await platform.search(Request(QUESTION, rerank=False))
        for fault in _faults():
            server.replies.append(fault)
            found = await platform.search(Request(QUESTION))
            assert not found.reranked
            assert found.passages == plain.passages
        assert (await platform.search(Request(QUESTION))).reranked

    with serve_reranking() as server:
        on_platform(_over_http(settings, server), work)
    said = capsys.readouterr()
    assert (said.out + said.err).count(_FAILS) == 1


def test_a_reranker_that_stalls_holds_up_a_search_for_the_time_set(settings: Settings, tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        server.may_answer.clear()
        found = await asyncio.wait_for(platform.search(Request(QUESTION)), 30)
        assert not found.reranked
        assert len(found.passages) == 10
        assert 200 <= found.timings_ms["rerank"] < 10_000

    with serve_reranking() as server:
        on_platform(_over_http(settings, server, timeout_seconds=0.2), work)


def test_a_server_that_is_not_there_does_not_keep_groundwork_from_starting(settings: Settings, tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        assert len((await platform.search(Request(QUESTION))).passages) == 10

    with serve_reranking() as server:
        pass
    on_platform(_over_http(settings, server), work)


def test_a_folder_without_a_model_is_told_at_the_start(settings: Settings, tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        pytest.fail("it started")

    with pytest.raises(Invalid, match="GROUNDWORK_RERANKER__PATH"):
        on_platform(_with(settings, RerankerSettings(kind="openvino", path=tmp_path)), work)


class _Broken(OverlapReranker):
    """Fails in a way no adapter should, at the start as well."""

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        raise ZeroDivisionError("with a secret")

    async def warm(self) -> None:
        raise Unavailable("no memory")


def test_whatever_a_reranker_raises_is_no_error_of_the_search(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, write(tmp_path / "library", LIBRARY))
        chunks = [each.chunk for each in (await platform.search(Request(QUESTION))).passages]
        reranking = Reranking(_Broken(), RerankerSettings())
        assert await reranking.scores(QUESTION, chunks) is None
        await reranking.warm()
        assert await Reranking(_Broken(), RerankerSettings()).scores(QUESTION, []) is None

    on_platform(settings.model_copy(update={"log_level": "warning"}), work)
    said = capsys.readouterr()
    assert "secret" not in said.out + said.err


def test_an_evaluation_says_which_reranker_and_is_compared_with_its_like(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        "".join(f'{{"_id": "{name}", "title": "", "text": "{text}"}}\n' for name, text in LIBRARY.items())
    )
    (folder / "queries.jsonl").write_text(f'{{"_id": "q", "text": "{QUESTION}"}}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\toil.txt\t1\n")

    async def measure(platform: Platform, rerank: bool | None) -> dict[str, Any]:
        return await platform.evaluate(folder, "lexical", None, lambda *_: None, rerank)

    async def work(platform: Platform) -> None:
        with_it, without = await measure(platform, None), await measure(platform, False)
        assert with_it["reranker"] == "http:" + server.url + "/"
        assert without["reranker"] is None
        assert (with_it["compared_to"], without["compared_to"]) == (None, None)
        assert with_it["mrr@10"] == 1
        again = await measure(platform, True)
        assert again["compared_to"] == with_it["at"]

        server.replies.extend([Reply(200, '{"results": [{"index": 0, "relevance_score": 1}]}'), Reply(500)])
        failed = await measure(platform, True)
        assert (failed["not_reranked"], failed["compared_to"]) == (1, None)
        assert (await measure(platform, True))["compared_to"] == again["at"]
        server.replies.append(Reply(500))
        with pytest.raises(Unavailable, match="does not answer"):
            await measure(platform, True)

    with serve_reranking() as server:
        on_platform(_over_http(settings, server), work)

    async def none_set(platform: Platform) -> None:
        with pytest.raises(Invalid, match="GROUNDWORK_RERANKER__KIND"):
            await measure(platform, True)
        assert (await measure(platform, None))["reranker"] is None

    on_platform(settings, none_set)
