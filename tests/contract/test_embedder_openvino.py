"""The model in the package: that it is the one it says it is, sees meaning, and leaves others room to work."""

import asyncio
import hashlib
import json
import re
import threading
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from groundwork.embedders.openvino import OpenVinoEmbedder
from groundwork.embedders.packaged import MODEL_DIR, packaged_model, tokenizer_file
from groundwork.errors import Unavailable

_DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def embedder() -> Generator[OpenVinoEmbedder]:
    opened = OpenVinoEmbedder(threads=2)
    yield opened
    opened.close()


def test_the_files_are_those_the_provenance_names() -> None:
    named = dict(re.findall(r"\| `(model\.bin|model\.xml|tokenizer\.json)` \| `([0-9a-f]{64})` \|\n", _provenance()))
    found = {name: hashlib.sha256((MODEL_DIR / name).read_bytes()).hexdigest() for name in named}
    assert set(named) == {"model.bin", "model.xml", "tokenizer.json"}
    assert found == named


def test_the_model_is_that_of_the_published_weights_under_its_licence() -> None:
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" in _provenance()
    assert "Apache License" in (MODEL_DIR / "LICENSE").read_text()


def test_the_revision_names_weights_and_tokenizer() -> None:
    digest = hashlib.sha256()
    for name in ("model.bin", "tokenizer.json"):
        digest.update(hashlib.sha256((MODEL_DIR / name).read_bytes()).digest())
    assert packaged_model().revision == digest.hexdigest()[:12]


def test_the_tokenizer_file_neither_pads_nor_truncates() -> None:
    tokenizer = json.loads(tokenizer_file().read_text(encoding="utf-8"))
    assert tokenizer["padding"] is None
    assert tokenizer["truncation"] is None


@pytest.mark.parametrize(
    ("text", "paraphrase", "unrelated"),
    [
        ("The firm dismissed a tenth of its staff.", "Ten percent of employees were laid off.", "It rained all day."),
        ("How do I reset my password?", "I forgot my login credentials.", "The pump needs new oil."),
        ("Aspirin lowers fever.", "A common painkiller reduces temperature.", "Interest rates were raised again."),
    ],
)
def test_meaning_counts_more_than_words(embedder: OpenVinoEmbedder, text: str, paraphrase: str, unrelated: str) -> None:
    question = embedder.embed_query(text)
    near, far = embedder.embed_passages([paraphrase, unrelated])
    assert float(question @ near) > float(question @ far) + 0.2


def test_the_last_token_that_fits_is_seen_and_the_next_is_not(embedder: OpenVinoEmbedder) -> None:
    room = embedder.max_tokens - 2
    assert embedder.count_tokens("word " * room) == room
    full, tail_seen, tail_cut = embedder.embed_passages(
        ["word " * room, "word " * (room - 1) + "whale", "word " * room + "whale"]
    )
    assert np.array_equal(full, tail_cut)
    assert not np.allclose(full, tail_seen, atol=1e-3)


def test_a_huge_text_takes_no_longer_than_a_long_one(embedder: OpenVinoEmbedder) -> None:
    embedder.embed_query("word " * 300)
    begin = time.perf_counter()
    embedder.embed_query("word " * 4_000_000)
    assert time.perf_counter() - begin < 1


def test_neighbours_in_a_batch_do_not_change_a_vector(embedder: OpenVinoEmbedder) -> None:
    texts = [" ".join(["alpha beta gamma delta"] * n) for n in range(1, 60)]
    together = embedder.embed_passages(texts)
    alone = np.concatenate([embedder.embed_passages([text]) for text in texts])
    assert np.sum(together * alone, axis=1) == pytest.approx(1, abs=2e-3)


def test_an_event_loop_goes_on_while_passages_are_embedded(embedder: OpenVinoEmbedder) -> None:
    texts = ["An event loop in another thread has to go on while the model computes. " * 15] * 200

    async def count_turns() -> int:
        work = asyncio.create_task(asyncio.to_thread(embedder.embed_passages, texts))
        turns = 0
        while not work.done():
            await asyncio.sleep(0.01)
            turns += 1
        return turns

    assert asyncio.run(count_turns()) > 5


def test_a_question_does_not_wait_for_a_large_batch_to_end(embedder: OpenVinoEmbedder) -> None:
    embedder.embed_query("warm")
    batch = threading.Thread(target=embedder.embed_passages, args=(["a long passage of many words " * 50] * 100,))
    batch.start()
    answered_meanwhile = 0
    while batch.is_alive():
        embedder.embed_query("warm")
        answered_meanwhile += batch.is_alive()
    assert answered_meanwhile > 3


def test_a_cache_of_compiled_models_changes_no_vector(embedder: OpenVinoEmbedder, tmp_path: Path) -> None:
    for _ in range(2):
        cached = OpenVinoEmbedder(threads=2, cache_dir=tmp_path / "new" / "cache")
        assert np.allclose(cached.embed_query("same"), embedder.embed_query("same"), atol=1e-6)
        cached.close()
    assert list((tmp_path / "new" / "cache").iterdir())


def test_a_damaged_or_impossible_cache_is_done_without(embedder: OpenVinoEmbedder, tmp_path: Path) -> None:
    OpenVinoEmbedder(threads=2, cache_dir=tmp_path / "cache").embed_query("same")
    for blob in (tmp_path / "cache").iterdir():
        blob.chmod(0o600)
        blob.write_bytes(blob.read_bytes()[:1000])
    (tmp_path / "file").touch()
    for folder in (tmp_path / "cache", tmp_path / "file"):
        opened = OpenVinoEmbedder(threads=2, cache_dir=folder)
        assert np.allclose(opened.embed_query("same"), embedder.embed_query("same"), atol=1e-6)


def test_a_closed_embedder_says_so() -> None:
    opened = OpenVinoEmbedder(threads=1)
    opened.embed_query("still open")
    opened.close()
    opened.close()
    for call in (opened.ping, lambda: opened.embed_passages(["?"])):
        with pytest.raises(Unavailable, match="closed"):
            call()


def test_the_raw_rate_is_not_below_the_whole_way(embedder: OpenVinoEmbedder) -> None:
    texts = ["The same passages, once with and once without everything around the model. " * 12] * 64
    embedder.warm()
    embedder.embed_passages(texts)
    begin = time.perf_counter()
    embedder.embed_passages(texts)
    whole = sum(embedder.count_tokens(text) + 2 for text in texts) / (time.perf_counter() - begin)
    assert embedder.raw_tokens_per_second(texts) > 0.5 * whole  # a noisy machine; the benchmark measures properly


@pytest.mark.data
@pytest.mark.skipif(not _DATA.is_dir(), reason="the document sets are not beside the project")
def test_questions_find_their_paragraphs(embedder: OpenVinoEmbedder) -> None:
    folder = _DATA / "xquad-en"
    documents = _jsonl(folder / "corpus.jsonl")
    queries = {query["_id"]: query["text"] for query in _jsonl(folder / "queries.jsonl")[:300]}
    vectors = embedder.embed_passages([f"{document['title']}\n{document['text']}".strip() for document in documents])
    place = {document["_id"]: row for row, document in enumerate(documents)}
    judged = [line.split("\t") for line in next(folder.glob("qrels/*.tsv")).read_text().splitlines()[1:]]
    wanted = {query: place[document] for query, document, score in judged if query in queries and float(score) > 0}
    found = sum(row in np.argsort(-vectors @ embedder.embed_query(queries[query]))[:3] for query, row in wanted.items())
    assert found / len(wanted) > 0.93


def _jsonl(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _provenance() -> str:
    return (MODEL_DIR / "PROVENANCE.md").read_text(encoding="utf-8")
