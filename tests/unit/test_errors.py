"""Errors as the faces see them: one tree, a kind for each, and a message for people."""

import pytest

from groundwork import errors
from groundwork.errors import GroundworkError

_KINDS = {
    errors.Invalid: "invalid",
    errors.Unauthenticated: "unauthenticated",
    errors.Refused: "refused",
    errors.NotFound: "not_found",
    errors.Conflict: "conflict",
    errors.OverBudget: "over_budget",
    errors.TooMany: "too_many",
    errors.Busy: "busy",
    errors.Unavailable: "unavailable",
    errors.StoreUnavailable: "unavailable",
    errors.Corrupt: "corrupt",
}


@pytest.mark.parametrize(("error", "kind"), _KINDS.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_error_has_the_kind_the_faces_translate(error: type[GroundworkError], kind: str) -> None:
    assert error.kind == kind
    assert issubclass(error, GroundworkError)


def test_every_error_is_in_the_table_above_and_drawn_in_the_docstring() -> None:
    defined = {
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GroundworkError)
    }
    assert defined == {GroundworkError, *_KINDS}
    assert all(error.__name__ in (errors.__doc__ or "") for error in defined)


def test_an_error_carries_its_message_and_its_details() -> None:
    error = errors.NotFound("There is no document 7. List them with `groundwork documents`.", document="7")
    assert str(error) == error.message == "There is no document 7. List them with `groundwork documents`."
    assert error.details == {"document": "7"}


def test_who_waits_for_the_database_catches_what_is_unavailable() -> None:
    with pytest.raises(errors.Unavailable):
        raise errors.StoreUnavailable("PostgreSQL does not answer.")
