"""Quotes: the words of the passages that bear on a question, as they stand there."""

from itertools import pairwise
from uuid import UUID

import pytest

from groundwork.answer.extract import extract, understands
from groundwork.embedders import Embedder
from groundwork.embedders.openvino import OpenVinoEmbedder
from groundwork.retrieve.records import ChunkRow
from groundwork.retrieve.search import Passage

TUNNEL = (
    "The tunnel was opened in 1932 by the mayor. It is 57 metres long and serves trains only. "
    "Its walls are clad in yellow brick. A café stands beside it. Many people like the café."
)
GARDEN = "The garden was planted by the botanical society. Roses from Persia grow on its southern slope."


@pytest.fixture(scope="module")
def embedder() -> OpenVinoEmbedder:
    return OpenVinoEmbedder(threads=1)


def passage(number: int, title: str, text: str, score: float, start: int = 0) -> Passage:
    chunk = ChunkRow(
        chunk_id=UUID(int=number),
        document_id=UUID(int=number),
        version=b"",
        title=title,
        uri="u",
        collection="c",
        media_type="t",
        page=None,
        heading_path=[],
        start=start,
        end=start + len(text),
        text=text,
        collection_id=UUID(int=0),
        private=False,
    )
    return Passage(chunk, score, None, None)


PASSAGES = [passage(1, "The tunnel", TUNNEL, 0.9, start=100), passage(2, "The garden", GARDEN, 0.7)]


def test_the_first_quote_is_the_sentence_that_answers(embedder: Embedder) -> None:
    assert "1932" in extract("When was the tunnel opened?", PASSAGES, embedder, 3).quotes[0].text
    assert "Roses" in extract("Which roses grow in the garden?", PASSAGES, embedder, 3).quotes[0].text


def test_a_quote_stands_in_the_text_where_it_says(embedder: Embedder) -> None:
    for question in ("When was the tunnel opened?", "How long is the tunnel?", "Who planted the garden?"):
        for quote in extract(question, PASSAGES, embedder, 3).quotes:
            begin = quote.passage.chunk.start
            assert quote.passage.chunk.text[quote.start - begin : quote.end - begin] == quote.text


def test_quotes_neither_repeat_nor_overlap_and_are_never_a_whole_paragraph(embedder: Embedder) -> None:
    again = [*PASSAGES, passage(3, "A copy", TUNNEL, 0.6)]
    quotes = extract("How long is the tunnel that the mayor opened?", again, embedder, 5).quotes
    assert len({quote.text for quote in quotes}) == len(quotes)
    assert all(len(quote.text) < len(TUNNEL) / 2 + 50 for quote in quotes)
    spans = sorted((str(quote.passage.chunk.chunk_id), quote.start, quote.end) for quote in quotes)
    assert all(one[0] != two[0] or one[2] <= two[1] for one, two in pairwise(spans))


def test_no_more_quotes_than_asked_for(embedder: Embedder) -> None:
    assert len(extract("What about the tunnel and the garden?", PASSAGES, embedder, 1).quotes) == 1
    assert extract("Anything?", [], embedder, 3).quotes == []


def test_what_the_passages_answer_bears_more_than_what_they_do_not(embedder: Embedder) -> None:
    def bearing(question: str) -> float:
        return extract(question, PASSAGES, embedder, 3).bearing

    assert bearing("When was the tunnel opened?") > 0.6
    assert bearing("How do enzymes fold proteins in yeast cells?") < 0.3


@pytest.mark.parametrize(
    ("question", "understood"),
    [
        ("When was the tunnel opened?", True),
        ("Wann wurde der Eisenbahntunnel eröffnet?", True),
        ("黑豹队的防守丢了多少分？", False),
        ("كم نقطة تخلى عنها الدفاع؟", False),
    ],
)
def test_a_script_spelled_out_letter_by_letter_is_not_understood(
    embedder: Embedder, question: str, understood: bool
) -> None:
    assert understands(embedder, question) == understood


def test_in_such_a_script_foreign_questions_bear_on_nothing(embedder: Embedder) -> None:
    text = "黑豹队的防守只丢了308分，在联赛中排名第六。职业碗防守截锋卡万·肖特以11分领先于全队。"
    there = [passage(1, "超级碗", text, 1.0)]
    answer = extract("黑豹队的防守丢了多少分？", there, embedder, 3)
    assert "308" in answer.quotes[0].text
    assert answer.bearing > 0.6
    assert extract("蛋白质在细胞里怎样折叠？", there, embedder, 3).bearing < 0.42
