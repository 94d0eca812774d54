"""Everything Groundwork can refuse or fail at, as one tree.

    GroundworkError
      Invalid          the request cannot be understood or served as it stands
      Unauthenticated  nobody knows who asks
      Refused          understood, and not allowed
      NotFound         no such thing, or none the caller may see
      Conflict         the present state does not admit it
      OverBudget       it would spend more than was allowed
      TooMany          more requests than this caller may send; wait as long as it says
      Busy             too much at once; the same request may pass later
      Unavailable      something this needs does not answer
        StoreUnavailable
      Corrupt          stored data is not what was written

A message says what is wrong and what to do next. Each face (HTTP, command line, UI, MCP) has one small table from
`kind` to its own words: status, exit code, icon. Nothing else in the code decides that.
"""

from typing import ClassVar


class GroundworkError(Exception):
    """Something went wrong that a person can be told about."""

    kind: ClassVar[str] = "internal"
    shown: ClassVar[tuple[str, ...]] = ()
    """Names of details that whoever asked is given beside the message: numbers and words, never secrets."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Invalid(GroundworkError):
    """The request cannot be understood or served as it stands; change it and send it again."""

    kind = "invalid"


class Unauthenticated(GroundworkError):
    """Who asks is not known: no credentials, or none that hold."""

    kind = "unauthenticated"


class Refused(GroundworkError):
    """The request was understood and is not allowed."""

    kind = "refused"


class NotFound(GroundworkError):
    """There is no such thing, or none the caller may see."""

    kind = "not_found"


class Conflict(GroundworkError):
    """The present state does not admit this; look at it and decide again."""

    kind = "conflict"


class OverBudget(GroundworkError):
    """This would spend more than was allowed. `retry_after` (seconds) says when there is a new period."""

    kind = "over_budget"
    shown = ("period", "limit", "spent", "reserved", "reset_at")


class TooMany(GroundworkError):
    """More than this caller may send in the time; `retry_after` (seconds) among the details says how long to wait."""

    kind = "too_many"


class Busy(GroundworkError):
    """Too much is going on at once; the same request may pass later."""

    kind = "busy"


class Unavailable(GroundworkError):
    """Something this needs does not answer. An answer that broke off keeps here what was said of it."""

    kind = "unavailable"
    shown = ("answer", "citations", "usage", "route", "session_id")


class StoreUnavailable(Unavailable):
    """The database does not answer."""


class Corrupt(GroundworkError):
    """Stored data is not what was written; `groundwork rebuild` mends what is derived."""

    kind = "corrupt"


def of_kind(kind: str, message: str) -> GroundworkError:
    """The error that was told as a kind and a message, as the last event of a stream is."""
    known = {each.kind: each for each in GroundworkError.__subclasses__()}
    return known.get(kind, GroundworkError)(message)
