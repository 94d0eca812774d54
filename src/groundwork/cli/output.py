"""What the command line prints: bodies as JSON, or words for a person; errors by kind, with an exit code."""

import json
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from groundwork.errors import GroundworkError, Unavailable

EXIT_CODES = {
    "internal": 1,
    "invalid": 2,
    "refused": 3,
    "not_found": 4,
    "conflict": 5,
    "over_budget": 6,
    "busy": 7,
    "unavailable": 8,
    "corrupt": 9,
    "unauthenticated": 10,
    "too_many": 11,
}
DEFECT = 70
"""Exit code when Groundwork itself is at fault; as EX_SOFTWARE of sysexits.h."""
READER_GONE = 141
"""Exit code when the reader of the output left, as `head` does: the one of a program ended by SIGPIPE."""


def put_json(body: Any) -> None:
    """A body as JSON on standard output: the same that HTTP answers."""
    say(json.dumps(body, ensure_ascii=False, indent=2))


def say(line: str = "", end: str = "\n") -> None:
    """A line on standard output, or a piece of one, shown at once."""
    try:
        print(line, end=end, flush=not end)
    except BrokenPipeError:
        _leave()


def finish() -> None:
    """Writes out what was said. Raises Unavailable when that cannot be; nobody there to read it ends the process."""
    try:
        print(end="", flush=True)
    except BrokenPipeError:
        _leave()
    except OSError as error:
        _hush()
        raise Unavailable(
            f"The output could not be written: {error.strerror}. What there was of it is not complete."
        ) from error


def _leave() -> NoReturn:
    _hush()
    sys.exit(READER_GONE)


def _hush() -> None:
    """Sends what is still said nowhere, so that the interpreter does not fail at it once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(line: str) -> None:
    """A line about the work, on standard error, so that output stays clean."""
    print(line, file=sys.stderr, flush=True)


def counted(number: int, noun: str) -> str:
    """A number with its noun, as in "1 document" or "2,000 documents"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under headings, as wide as the terminal takes."""
    from rich.console import Console  # start-up time
    from rich.table import Table

    shown = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False, emoji=False).print(shown)


def fail(error: GroundworkError) -> NoReturn:
    """Says what is wrong and what to do, and ends with the exit code of the error's kind."""
    note(f"Error: {error.message}")
    sys.exit(EXIT_CODES[error.kind])


def fail_unforeseen(error: Exception) -> NoReturn:
    """Says what happened and that it is a defect, and ends. At log level `debug` the traceback is told as well."""
    import structlog  # start-up time

    lines = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    note(
        f"Error: {what}. This is a defect of Groundwork. Report it with what the same command prints with "
        "GROUNDWORK_LOG_LEVEL=debug."
    )
    if structlog.is_configured():
        structlog.get_logger().debug("a command failed", exc_info=error)
    elif os.environ.get("GROUNDWORK_LOG_LEVEL") == "debug":  # it failed before the settings were read
        traceback.print_exception(error)
    sys.exit(DEFECT)
