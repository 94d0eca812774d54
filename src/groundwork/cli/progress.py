"""Progress on standard error: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from groundwork.cli.output import note

Advance = Callable[[str, int, int | None], None]
"""Told what is being worked on, how much of it is done, and of how much (None: nobody knows)."""

_LINE_EVERY_SECONDS = 10.0


@contextmanager
def progress(quiet: bool = False) -> Generator[Advance]:
    """A way to show progress for as long as the block runs."""
    if quiet:
        yield lambda what, done, total: None
    elif sys.stderr.isatty():
        with _bar() as advance:
            yield advance
    else:
        yield _lines()


@contextmanager
def waiting(what: str) -> Generator[None]:
    """Shows on a terminal that something goes on, for as long as the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # start-up time

    with Console(stderr=True).status(what):
        yield


@contextmanager
def _bar() -> Generator[Advance]:
    from rich.console import Console  # start-up time
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _lines() -> Advance:
    last = time.monotonic()

    def advance(what: str, done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_SECONDS:
            last = time.monotonic()
            note(f"{what}: {done:,}" + (f" of {total:,}" if total is not None else ""))

    return advance
