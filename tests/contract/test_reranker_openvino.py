"""A cross-encoder in a folder: which files do, what is cut, and that whoever waits does not hold up the others."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from groundwork.embedders.packaged import MODEL_DIR
from groundwork.errors import Invalid, Unavailable
from groundwork.rerankers.openvino import OpenVinoReranker
from plugins.cross_encoder import make_cross_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cross_encoder(tmp_path_factory.mktemp("model") / "tiny")


def _score(folder: Path, question: str, texts: Sequence[str]) -> list[float]:
    async def inside() -> list[float]:
        reranker = OpenVinoReranker(folder, threads=1)
        try:
            return await reranker.score(question, texts)
        finally:
            await reranker.close()

    return asyncio.run(inside())


def _by_hand(asked: int, found: int) -> float:
    """The score for so many tokens of the question, and so many of them in the text: [CLS] never is, [SEP] always."""
    return 1 / (1 + np.exp(-(12 * (found + 1) / (asked + 2) - 6)))


def test_the_score_is_what_the_model_says_of_the_pair(folder: Path) -> None:
    scores = _score(folder, "warm water", ["cold water", "cold air", "warm warm water"])
    assert scores == pytest.approx([_by_hand(2, 1), _by_hand(2, 0), _by_hand(2, 2)], abs=1e-4)


def test_padding_and_truncation_of_the_file_are_not_followed(folder: Path) -> None:
    file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    assert file["truncation"]["max_length"] == file["padding"]["strategy"]["Fixed"] == 8
    assert _score(folder, "whale", ["word " * 300 + "whale"]) == pytest.approx([_by_hand(1, 1)], abs=1e-4)


def test_of_a_long_text_the_end_is_not_seen(folder: Path) -> None:
    room = 512 - 3 - 1
    seen, cut = _score(folder, "whale", ["word " * (room - 1) + "whale", "word " * room + "whale"])
    assert (seen, cut) == pytest.approx((_by_hand(1, 1), _by_hand(1, 0)), abs=1e-4)


def test_a_long_question_leaves_room_for_the_text(folder: Path) -> None:
    start = "word " * 256
    with_whale, without = _score(folder, start + "whale " * 2000, ["word", "whale"])
    assert with_whale == pytest.approx(_by_hand(256, 256), abs=1e-4)
    assert without == pytest.approx(_by_hand(256, 0), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "key"), [("tokenizer_config.json", "model_max_length"), ("config.json", "max_position_embeddings")]
)
def test_a_model_that_reads_less_gets_less(folder: Path, tmp_path: Path, name: str, key: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "short")
    (copy / name).write_text(json.dumps({key: 32}), encoding="utf-8")
    room = 32 - 3 - 1
    seen, cut = _score(copy, "whale", ["word " * (room - 1) + "whale", "word " * room + "whale"])
    assert (seen, cut) == pytest.approx((_by_hand(1, 1), _by_hand(1, 0)), abs=1e-4)


@pytest.mark.parametrize("content", ["nonsense", "[]", "{}", '{"model_max_length": 1e30}'])
def test_a_limit_that_says_nothing_is_passed_over(folder: Path, tmp_path: Path, content: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "odd")
    (copy / "tokenizer_config.json").write_text(content, encoding="utf-8")
    assert _score(copy, "whale", ["word " * 400 + "whale"]) == pytest.approx([_by_hand(1, 1)], abs=1e-4)


def test_a_text_that_spells_a_special_token_means_its_letters(folder: Path) -> None:
    spelled, plain = _score(folder, "sep", ["[SEP]", "sep"])
    assert spelled == plain == pytest.approx(_by_hand(1, 1), abs=1e-4)


def test_inputs_of_thirty_two_bits_and_another_file_name_do(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "other", kind=np.int32, name="model")
    assert _score(folder, "warm", ["warm"]) == pytest.approx([_by_hand(1, 1)], abs=1e-4)


def test_the_folder_names_the_model(folder: Path) -> None:
    assert OpenVinoReranker(folder).name == "openvino:tiny"


def test_a_folder_without_a_model_says_what_to_set(tmp_path: Path) -> None:
    for names in ([], ["one.xml", "two.xml"]):
        for name in names:
            (tmp_path / name).touch()
        with pytest.raises(Invalid, match="GROUNDWORK_RERANKER__PATH"):
            OpenVinoReranker(tmp_path)


def test_a_damaged_model_says_so(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "damaged")
    (copy / "openvino_model.xml").write_text("<net", encoding="utf-8")
    with pytest.raises(Invalid, match="export it again"):
        OpenVinoReranker(copy)


def test_a_missing_tokenizer_says_so(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "without")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(Invalid, match=r"tokenizer\.json cannot be read"):
        OpenVinoReranker(copy)


def test_a_model_that_is_no_cross_encoder_is_refused() -> None:
    with pytest.raises(Invalid, match="a cross-encoder gives one number, or two"):
        OpenVinoReranker(MODEL_DIR)


def test_a_closed_reranker_says_so(folder: Path) -> None:
    async def inside() -> None:
        reranker = OpenVinoReranker(folder, threads=1)
        await reranker.warm()
        await reranker.close()
        await reranker.close()
        with pytest.raises(Unavailable, match="closed"):
            await reranker.score("anybody there?", ["no"])

    asyncio.run(inside())


def test_an_event_loop_goes_on_and_others_are_answered_meanwhile(folder: Path) -> None:
    texts = [f"The same long text, number {place}. " + "word " * 500 for place in range(400)]

    async def inside() -> tuple[int, list[float]]:
        reranker = OpenVinoReranker(folder, threads=1)
        await reranker.warm()
        long = asyncio.create_task(reranker.score("How long does it take?", texts))
        turns = 0
        while not long.done() and turns < 5:
            await asyncio.sleep(0.001)
            turns += 1
        short = await reranker.score("still there", ["still there"])
        assert not long.done()
        long.cancel()
        await reranker.close()
        return turns, short

    turns, short = asyncio.run(inside())
    assert turns == 5
    assert short == pytest.approx([_by_hand(2, 2)], abs=1e-4)
