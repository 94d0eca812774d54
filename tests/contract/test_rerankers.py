"""What the rest of the code takes for granted of every reranker, asked of each."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from groundwork.rerankers import Reranker
from groundwork.rerankers.http import HttpReranker
from groundwork.rerankers.openvino import OpenVinoReranker
from groundwork.rerankers.overlap import OverlapReranker
from groundwork.settings.models import RerankerSettings
from plugins.cross_encoder import make_cross_encoder
from plugins.reranking_server import serve_reranking

T = TypeVar("T")
Use = Callable[[Callable[[Reranker], Awaitable[T]]], T]

_QUESTION = "When does the warehouse in Cologne open?"
_TEXTS = [
    "Proteins fold in the cell.",
    "The warehouse in Cologne does open at eight.",
    "Opening hours\nThe office in Berlin closes at noon; the warehouse next to it does not.",
    "数据库每天凌晨两点备份。",
    "ok",
]
_SERVERS = {"http": (False, False), "http-logits": (False, True), "tei": (True, False), "tei-logits": (True, True)}


@pytest.fixture(scope="module", params=["overlap", *_SERVERS, "openvino-1", "openvino-2"])
def use(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Use[object]]:
    """Runs a piece of work on a reranker that is warm."""
    kind: str = request.param
    if kind in _SERVERS:
        with serve_reranking(*_SERVERS[kind]) as server:
            settings = RerankerSettings(kind="http", url=server.url, model="test-model", timeout_seconds=30)
            yield _on(lambda: HttpReranker(settings))
    elif kind == "overlap":
        yield _on(OverlapReranker)
    else:
        folder: Path = make_cross_encoder(tmp_path_factory.mktemp("model") / kind, int(kind[-1]))
        yield _on(lambda: OpenVinoReranker(folder, threads=2))


def _on(make: Callable[[], Reranker]) -> Use[object]:
    def use(work: Callable[[Reranker], Awaitable[T]]) -> T:
        async def inside() -> T:
            reranker = make()
            await reranker.warm()
            try:
                return await work(reranker)
            finally:
                await reranker.close()

        return asyncio.run(inside())

    return use


def _scores(use: Use[list[float]], question: str, texts: Sequence[str]) -> list[float]:
    return use(lambda reranker: reranker.score(question, texts))


def test_every_text_gets_one_score_in_the_order_given(use: Use[list[float]]) -> None:
    scores = _scores(use, _QUESTION, _TEXTS)
    assert len(scores) == len(_TEXTS)
    assert all(0 <= score <= 1 for score in scores)
    assert _scores(use, _QUESTION, _TEXTS[::-1]) == pytest.approx(scores[::-1], abs=1e-5)


def test_the_text_that_answers_scores_highest(use: Use[list[float]]) -> None:
    scores = _scores(use, _QUESTION, _TEXTS)
    assert max(scores) == scores[1] > scores[2] > scores[3]


def test_the_same_question_gets_the_same_scores_again(use: Use[bool]) -> None:
    async def work(reranker: Reranker) -> bool:
        return await reranker.score(_QUESTION, _TEXTS) == await reranker.score(_QUESTION, _TEXTS)

    assert use(work)


def test_no_texts_get_no_scores(use: Use[list[float]]) -> None:
    assert _scores(use, _QUESTION, []) == []


@pytest.mark.parametrize("odd", ["", "   \n\t", "?!", "\x00", "\udcff broken surrogate", "a" * 5000, "[PAD] [SEP]"])
def test_odd_questions_and_texts_are_scored_like_any_other(use: Use[list[float]], odd: str) -> None:
    for question, texts in ((_QUESTION, [odd, _TEXTS[1]]), (odd, _TEXTS)):
        scores = _scores(use, question, texts)
        assert len(scores) == len(texts)
        assert all(math.isfinite(score) and 0 <= score <= 1 for score in scores)


def test_long_texts_and_many_of_them_are_scored(use: Use[list[float]]) -> None:
    texts = [f"{_TEXTS[place % 2]} " + "and so on " * (400 if place % 7 == 0 else place) for place in range(70)]
    scores = _scores(use, _QUESTION, texts)
    assert len(scores) == 70
    assert min(scores[1::2]) > max(scores[::2])


def test_many_callers_at_once_get_what_each_alone_gets(use: Use[bool]) -> None:
    questions = [f"{_QUESTION} {text}" for text in _TEXTS] * 3

    async def work(reranker: Reranker) -> bool:
        alone = [await reranker.score(question, _TEXTS) for question in questions]
        together = await asyncio.gather(*(reranker.score(question, _TEXTS) for question in questions))
        return all(one == pytest.approx(other, abs=1e-5) for one, other in zip(alone, together, strict=True))

    assert use(work)


def test_it_has_a_name_and_keeps_what_it_is_given_on_this_machine(use: Use[tuple[str, bool]]) -> None:
    async def work(reranker: Reranker) -> tuple[str, bool]:
        return reranker.name, reranker.private

    name, private = use(work)
    assert name.split(":")[0] in {"overlap", "http", "openvino"}
    assert private
