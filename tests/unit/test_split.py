"""A chunk is exactly the text between its offsets, and no word of a document is lost, doubled or out of order."""

import re
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from groundwork.embedders.packaged import tokenizer_file
from groundwork.ingest.headings import Outline, first_heading
from groundwork.ingest.split import Chunk, Splitter

SENTENCES = " ".join(f"Sentence number {number} says a little about rivers and bridges." for number in range(60))


@cache
def splitter(chunk_tokens: int) -> Splitter:
    return Splitter(tokenizer_file(), chunk_tokens)


@cache
def tokenizer() -> Tokenizer:
    loaded = Tokenizer.from_file(str(tokenizer_file()))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


def tokens(text: str) -> int:
    return len(tokenizer().encode(text, add_special_tokens=False).ids)


def check(text: str, chunks: list[Chunk]) -> None:
    position = 0
    for number, chunk in enumerate(chunks):
        assert chunk.ordinal == number
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
        assert not text[position : chunk.start].strip(), "words between two chunks are in neither"
        position = chunk.end
    assert not text[position:].strip()


BLOCKS = [
    "# Heading",
    "## Sub *heading*",
    "Setext\n===",
    "---",
    "```\n# code\n```",
    "- item",
    "> quote",
    "    indented",
]
TABLE = "| a | b |\n| - | - |\n| 1 | 2 |"
WORDS = [
    "A short sentence. ",
    "word ",
    "größte Überraschung ",
    "鸭子在湖里游泳。",
    "👩\u200d👧 ",
    "supercalifragilistic" * 9,
]
ODD = ["\n", "\n\n", "\t", "\x1c", "\u2028", "~~~", "``` py"]
PIECES = st.sampled_from([*BLOCKS, TABLE, *WORDS, *ODD, SENTENCES[:400]])
TEXTS = st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=40).map("\n".join))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS, size=st.sampled_from([32, 64, 200]), markdown=st.booleans(), data=st.data())
def test_any_text_is_covered_in_order_by_exact_spans(text: str, size: int, markdown: bool, data: st.DataObject) -> None:
    offsets = st.lists(st.integers(0, len(text)), max_size=4).map(lambda found: tuple(sorted({0, *found})))
    pages = data.draw(st.one_of(st.just(()), offsets))
    chunks = splitter(size).split(text, markdown, pages)
    check(text, chunks)
    for chunk in chunks:
        if pages:
            assert chunk.page is not None
            assert pages[chunk.page - 1] <= chunk.start
            assert chunk.page == len(pages) or chunk.start < pages[chunk.page]
        else:
            assert chunk.page is None


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.sampled_from(["river", "Überbau", "x-ray,", "42%", "end.", "(so)", "naïveté\n"]), min_size=1))
@pytest.mark.parametrize("markdown", [True, False])
def test_no_chunk_is_longer_than_was_asked(words: list[str], markdown: bool) -> None:
    text = " ".join(words * 12)
    assert all(tokens(chunk.text) <= 64 for chunk in splitter(64).split(text, markdown, ()))


def test_an_empty_text_has_no_chunks() -> None:
    assert splitter(64).split("", markdown=True, pages=()) == []
    assert splitter(64).split(" \n\t ", markdown=False, pages=(0,)) == []


def test_a_text_longer_than_128_tokens_is_not_taken_for_one_that_fits() -> None:
    chunks = splitter(200).split(SENTENCES, markdown=False, pages=())
    assert len(chunks) >= tokens(SENTENCES) / 200
    assert all(chunk.text.endswith(".") for chunk in chunks)


def test_a_chunk_knows_the_headings_it_stands_under() -> None:
    text = (
        "Before any heading.\n\n# Manual\n\nIntroduction.\n\n## Install\n\n"
        + SENTENCES
        + "\n\n```sh\n# not a heading\n"
        "```\n\nMaintenance\n-----------\n\n" + SENTENCES + "\n\n# Appendix #\n\nLast words."
    )
    chunks = splitter(64).split(text, markdown=True, pages=())
    check(text, chunks)
    paths = {
        path: [chunk.text for chunk in chunks if chunk.heading_path == path]
        for path in sorted({chunk.heading_path for chunk in chunks})
    }
    assert set(paths) == {(), ("Manual",), ("Manual", "Install"), ("Manual", "Maintenance"), ("Appendix",)}
    assert paths[("Appendix",)] == ["# Appendix #\n\nLast words."]
    assert all(chunk.heading_path == () for chunk in splitter(64).split(text, markdown=False, pages=()))


def test_no_heading_stands_alone_in_a_chunk() -> None:
    long = SENTENCES.replace("\n", " ")
    text = "\n\n".join(f"## Part {number}\n\n### Detail {number}\n\n{long}" for number in range(4))
    for chunk in splitter(64).split(text, markdown=True, pages=()):
        assert re.sub(r"^#+ .*$", "", chunk.text, flags=re.M).strip(), chunk.text
        assert tokens(chunk.text) <= 64


def test_headings_without_any_text_are_still_chunks() -> None:
    text = "\n".join(f"# Heading {number}" for number in range(100))
    chunks = splitter(32).split(text, markdown=True, pages=())
    check(text, chunks)
    assert all(tokens(chunk.text) <= 32 for chunk in chunks)


def test_a_chunk_stays_on_its_page() -> None:
    first, second = "The first page ends here.", "The second page has its own words."
    chunks = splitter(200).split(f"{first}\n\n{second}", markdown=False, pages=(0, len(first) + 2))
    assert [(chunk.page, chunk.text) for chunk in chunks] == [(1, first), (2, second)]


def test_a_sentence_that_runs_over_a_page_is_kept_whole_and_cited_where_it_starts() -> None:
    first, second = "A whole sentence. This one goes on", "over the page. And here is another."
    chunks = splitter(200).split(f"{first}\n\n{second}", markdown=False, pages=(0, len(first) + 2))
    assert [(chunk.page, chunk.text) for chunk in chunks] == [
        (1, f"{first}\n\nover the page."),
        (2, "And here is another."),
    ]


def test_an_empty_page_is_no_ones_page() -> None:
    chunks = splitter(200).split("One.\n\nThree.", markdown=False, pages=(0, 4, 6))
    assert [(chunk.page, chunk.text) for chunk in chunks] == [(1, "One."), (3, "Three.")]


def test_encoded_data_without_a_space_is_parted_and_costs_no_square_of_its_length() -> None:
    text = "QUJD" * 50_000
    chunks = splitter(200).split(text, markdown=False, pages=())
    check(text, chunks)
    assert max(len(chunk.text) for chunk in chunks) <= 8 * 201


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("intro\n\n## Second\n\n# First", "First"),
        ("## Only *one* [link](http://x.org)", "Only one link"),
        ("```\n# code\n```\ntext", None),
        ("Title\n=====\n", "Title"),
        ("a paragraph\nof two lines\n---\n", None),
        ("---\nkey: value\n---\n\n# After front matter", "After front matter"),
        ("#no space", None),
        ("## Closed ##", "Closed"),
        ("# C#", "C#"),
        ("#", None),
        ("snake_case_name\n===", "snake_case_name"),
    ],
)
def test_the_first_heading_names_a_document(text: str, title: str | None) -> None:
    assert first_heading(text) == title


def test_an_outline_forgets_deeper_headings_when_a_higher_one_comes() -> None:
    text = "# A\n\n### C\n\nx\n\n## B\n\ny"
    outline = Outline(text)
    assert outline.path(text.index("x")) == ("A", "C")
    assert outline.path(text.index("y")) == ("A", "B")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["# " + " " * 100_000 + "x", "# " + "_" * 100_000 + "x", "#" * 100_000, "[" * 50_000, "> " * 20_000, "`" * 100_000],
    ids=["spaces", "underscores", "number signs", "brackets", "quotes", "backticks"],
)
def test_no_text_makes_splitting_crawl(text: str) -> None:
    chunks = splitter(200).split(text, markdown=True, pages=())
    check(text, chunks)
    assert chunks
