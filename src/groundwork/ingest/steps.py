"""Where the documents of a running job are: fetched, extracted, split, embedded or published just now."""

import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

STEPS = ("fetch", "extract", "split", "embed", "publish")


class Steps:
    """How many documents are in each step at this moment. For use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: Counter[str] = Counter()

    def move(self, count: int, before: str | None, after: str | None) -> None:
        """`count` documents leave step `before` and enter step `after`; None is outside."""
        with self._lock:
            if before is not None:
                self._now[before] -= count
            if after is not None:
                self._now[after] += count

    @contextmanager
    def following(self) -> Generator[Callable[[str], None]]:
        """One document for as long as the block runs: what it is given tells which step begins."""
        at: str | None = None

        def enter(step: str) -> None:
            nonlocal at
            self.move(1, at, step)
            at = step

        try:
            yield enter
        finally:
            self.move(1, at, None)

    def now(self) -> dict[str, int]:
        """Documents by step, in the order of the steps; steps without any are left out."""
        with self._lock:
            return {step: self._now[step] for step in STEPS if self._now[step]}
