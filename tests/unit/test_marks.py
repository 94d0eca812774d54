"""Citation marks are found wherever the pieces of a text end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.answer.marks import Mark, Marks, Words, without


def _read(pieces: list[str]) -> list[Words | Mark]:
    marks = Marks()
    found = [part for piece in pieces for part in marks.feed(piece)]
    return [*found, *marks.rest()]


def _joined(parts: list[Words | Mark]) -> list[str | tuple[int, ...]]:
    """Neighbouring words as one, since where a text is cut means nothing."""
    found: list[str | tuple[int, ...]] = []
    for part in parts:
        if isinstance(part, Words) and found and isinstance(found[-1], str):
            found[-1] += part.text
        else:
            found.append(part.text if isinstance(part, Words) else part.numbers)
    return found


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Two rooms [1].", ["Two rooms ", (1,), "."]),
        ("Both [1, 2] and [3][12].", ["Both ", (1, 2), " and ", (3,), (12,), "."]),
        ("See [passage 4].", ["See ", (4,), "."]),
        ("In [2024] and [a] and [ and ] nothing.", ["In [2024] and [a] and [ and ] nothing."]),
        ("It ends with [", ["It ends with ["]),
        ("[1]", [(1,)]),
        ("An array a[0] counts.", ["An array a", (0,), " counts."]),
        ("", []),
    ],
)
def test_marks_and_words_are_told_apart(text: str, parts: list[str | tuple[int, ...]]) -> None:
    assert _joined(_read([text])) == parts


@given(st.text(alphabet="ab[]123, ;p\nassge"), st.lists(st.integers(0, 60), max_size=6))
def test_it_does_not_matter_where_pieces_end(text: str, cuts: list[int]) -> None:
    at = sorted({min(cut, len(text)) for cut in cuts})
    pieces = [text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)]
    assert _joined(_read(pieces)) == _joined(_read([text]))


def test_words_are_not_held_back_for_long() -> None:
    marks = Marks()
    told = [part for piece in "Rooms [see the plan of the house] are two." for part in marks.feed(piece)]
    held = "".join(part.text for part in marks.rest() if isinstance(part, Words))
    assert held == ""
    assert (
        "".join(part.text for part in told if isinstance(part, Words)) == "Rooms [see the plan of the house] are two."
    )


def test_what_goes_back_to_a_model_has_no_marks() -> None:
    assert without("Two rooms [1], one bath [2][3]. Nobody knows [?].") == "Two rooms, one bath. Nobody knows."
