"""Fusion: what one ranking cannot tell apart, the other decides."""

from uuid import UUID

import pytest

from groundwork.candidates import Hit
from groundwork.retrieve.fuse import fuse

A, B, C, D = (UUID(int=number) for number in range(1, 5))


def order(dense: list[Hit], lexical: list[Hit], weight: float = 0.5) -> list[UUID]:
    return [each.chunk_id for each in fuse(dense, lexical, weight)]


def test_a_chunk_both_find_beats_one_that_each_finds_alone() -> None:
    assert order([Hit(A, 0.8), Hit(B, 0.7), Hit(D, 0.2)], [Hit(C, 12.0), Hit(B, 11.0), Hit(D, 2.0)])[0] == B


def test_cosines_that_crowd_together_leave_the_decision_to_the_words() -> None:
    crowded = [Hit(A, 0.82), Hit(B, 0.81), Hit(C, 0.80)]
    assert order(crowded, [Hit(C, 20.0), Hit(B, 9.0), Hit(A, 8.0)]) == [C, B, A]


def test_words_that_tell_nothing_apart_leave_it_to_the_meaning() -> None:
    assert order([Hit(C, 0.7), Hit(A, 0.3), Hit(B, 0.2)], [Hit(A, 3.1), Hit(B, 3.0), Hit(C, 2.9)]) == [C, A, B]


def test_with_one_ranking_empty_the_other_stands() -> None:
    ranking = [Hit(B, 0.5), Hit(A, 0.4), Hit(D, -0.1)]
    assert order(ranking, []) == [B, A, D]
    assert order([], ranking) == [B, A, D]
    assert fuse([], [], 0.5) == []


def test_scores_lie_between_0_and_1_and_keep_what_they_came_from() -> None:
    fused = fuse([Hit(A, 0.9), Hit(B, -0.2)], [Hit(A, 7.0), Hit(C, 3.0)], 0.5)
    assert fused[0].score == pytest.approx(1.0)
    assert all(0 <= each.score <= 1 for each in fused)
    assert {each.chunk_id: (each.dense, each.lexical) for each in fused} == {
        A: (0.9, 7.0),
        B: (-0.2, None),
        C: (None, 3.0),
    }


def test_the_weight_moves_the_order_from_words_to_meaning() -> None:
    dense, lexical = [Hit(A, 0.9), Hit(B, 0.3)], [Hit(B, 9.0), Hit(A, 3.0)]
    assert order(dense, lexical, 0.9)[0] == A
    assert order(dense, lexical, 0.1)[0] == B
