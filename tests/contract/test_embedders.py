"""What the rest of the code takes for granted of every embedder, asked of each."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from groundwork.embedders import Embedder
from groundwork.embedders.hashing import HashingEmbedder
from groundwork.embedders.openai import OpenAIEmbedder
from groundwork.embedders.openvino import OpenVinoEmbedder
from groundwork.settings import EmbedderSettings
from plugins.embedding_server import serve_embeddings

_PASSAGES = [
    "Heat shock proteins protect cells from stress.",
    "Das Lager in Köln öffnet um acht Uhr.",
    "数据库每天凌晨两点备份。",
    "The invoice is due within thirty days; after that, a fee of 2 % applies. " * 9,
    "🙂🚀 naïve café — “quoted” … ½",
    "ok",
]


@pytest.fixture(scope="module", params=["openvino", "openai", "hashing"])
def embedder(request: pytest.FixtureRequest) -> Generator[Embedder]:
    if request.param == "openai":
        with serve_embeddings() as server:
            remote = OpenAIEmbedder(EmbedderSettings(kind="openai", url=server.url, model="test-model"))
            yield remote
            remote.close()
        return
    local = OpenVinoEmbedder(threads=2) if request.param == "openvino" else HashingEmbedder()
    yield local
    local.close()


def test_vectors_have_unit_length_and_the_stated_dimension(embedder: Embedder) -> None:
    vectors = embedder.embed_passages(_PASSAGES)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(_PASSAGES), embedder.model.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_a_question_gets_one_vector_of_unit_length(embedder: Embedder) -> None:
    vector = embedder.embed_query("Who protects cells from heat?")
    assert vector.dtype == np.float32
    assert vector.shape == (embedder.model.dimension,)
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-4)


def test_vectors_come_in_the_order_of_the_texts(embedder: Embedder) -> None:
    forward, backward = embedder.embed_passages(_PASSAGES), embedder.embed_passages(_PASSAGES[::-1])
    assert np.sum(forward * backward[::-1], axis=1) == pytest.approx(1, abs=2e-3)


def test_a_text_means_the_same_as_question_and_as_passage(embedder: Embedder) -> None:
    asked = np.stack([embedder.embed_query(text) for text in _PASSAGES])
    assert np.sum(asked * embedder.embed_passages(_PASSAGES), axis=1) == pytest.approx(1, abs=2e-3)


def test_the_same_question_gets_the_same_vector_again(embedder: Embedder) -> None:
    assert np.array_equal(embedder.embed_query(_PASSAGES[0]), embedder.embed_query(_PASSAGES[0]))


def test_no_texts_make_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed_passages([]).shape == (0, embedder.model.dimension)


@pytest.mark.parametrize("text", ["", "   \n\t", "?!", "\x00", "\udcff broken surrogate", "a" * 5000, "[PAD] [SEP]"])
def test_odd_texts_are_embedded_like_any_other(embedder: Embedder, text: str) -> None:
    for vector in (embedder.embed_query(text), embedder.embed_passages([text, "a neighbour"])[0]):
        assert np.isclose(np.linalg.norm(vector), 1, atol=1e-4)
    assert embedder.count_tokens(text) >= 0


def test_the_end_of_a_text_that_is_too_long_is_not_seen(embedder: Embedder) -> None:
    start = "quarterly figures rose again " * embedder.max_tokens
    one, other = embedder.embed_passages([start, start + "whales sing " * 50])
    assert float(one @ other) == pytest.approx(1, abs=1e-3)


def test_token_counts_grow_with_the_text_and_know_no_limit(embedder: Embedder) -> None:
    few, many = embedder.count_tokens("one two three"), embedder.count_tokens("one two three " * 1000)
    assert 3 <= few < embedder.max_tokens < many
    assert embedder.count_tokens("") == 0


def test_shared_words_bring_texts_together(embedder: Embedder) -> None:
    question = embedder.embed_query("When does the warehouse in Cologne open?")
    near, far = embedder.embed_passages(["The warehouse in Cologne opens at eight.", "Proteins fold in the cell."])
    assert float(question @ near) > float(question @ far) + 0.2


def test_many_callers_at_once_get_what_each_alone_gets(embedder: Embedder) -> None:
    questions = [f"{text} number {n}" for n in range(4) for text in _PASSAGES]
    alone = [embedder.embed_query(text) for text in questions]
    batches = [questions[n:] + questions[:n] for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(embedder.embed_query, questions))
        passages = list(pool.map(embedder.embed_passages, batches))
    assert np.array_equal(np.stack(alone), np.stack(together))
    for n, vectors in enumerate(passages):
        assert np.sum(np.roll(vectors, n, axis=0) * np.stack(alone), axis=1) == pytest.approx(1, abs=2e-3)


def test_a_ping_passes_while_it_serves(embedder: Embedder) -> None:
    embedder.ping()
    assert embedder.model == embedder.model
    assert embedder.model.revision
