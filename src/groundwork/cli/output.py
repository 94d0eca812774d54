"""What the command line prints: bodies as JSON, or words for a person; errors by kind, with an exit code."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from groundwork.errors import GroundworkError

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
}


def put_json(body: Any) -> None:
    """A body as JSON on standard output: the same that HTTP answers."""
    print(json.dumps(body, ensure_ascii=False, indent=2))


def say(line: str = "") -> None:
    """A line for a person on standard output."""
    print(line)


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
