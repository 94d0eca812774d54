"""Sentences: what a person would quote, with its place in the text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.answer.sentences import sentences


def texts(text: str) -> list[str]:
    return [each.text for each in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One ends. Two begins! Does three?", ["One ends.", "Two begins!", "Does three?"]),
        (
            "Dr. Smith met Prof. Jones, i.e. a friend. They ate.",
            ["Dr. Smith met Prof. Jones, i.e. a friend.", "They ate."],
        ),
        ("Am 3. Mai kam z.B. Herr Müller. Er ging.", ["Am 3. Mai kam z.B. Herr Müller.", "Er ging."]),
        ("It cost 3.50 euros. Cheap.", ["It cost 3.50 euros.", "Cheap."]),
        ("他来了。她走了！为什么？", ["他来了。", "她走了！", "为什么？"]),
        ("متى وصل؟ وصل أمس.", ["متى وصل؟", "وصل أمس."]),
        ("Items:\n- one thing\n- another\n\nAfter.", ["Items:", "- one thing", "- another", "After."]),
        ("*** --- ***", []),
        ("", []),
    ],
)
def test_prose_lists_and_scripts_without_spaces(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_text_without_capitals_is_cut_at_its_full_stops() -> None:
    text = "the drag of the wing was measured at several angles of attack . " * 20
    found = texts(text)
    assert len(found) == 20
    assert set(found) == {"the drag of the wing was measured at several angles of attack ."}


@given(st.text(alphabet=st.sampled_from("aB1 .,;!?\n。é-"), max_size=3000))
def test_a_sentence_stands_where_it_says_and_none_is_too_long_to_quote(text: str) -> None:
    found = sentences(text)
    assert all(text[each.start : each.end] == each.text and len(each.text) <= 500 for each in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
    words = "".join(c for each in found for c in each.text if c.isalnum())
    assert words == "".join(c for c in text if c.isalnum())


def test_a_heading_ends_with_its_line_whether_or_not_a_blank_one_follows() -> None:
    for text in ("# Alpha\nThe widget weighs 12 kilograms.", "# Alpha\n\nThe widget weighs 12 kilograms."):
        assert [each.text for each in sentences(text)] == ["# Alpha", "The widget weighs 12 kilograms."]
    within = "It floats.\n## Beta\nIt sinks."
    assert [each.text for each in sentences(within)] == ["It floats.", "## Beta", "It sinks."]
