"""Drills: one file each, run by `scripts/drill NAME`. A drill uses the product as people do and says what came of it.

Each module has a docstring, `add_options(parser)` and `run(options)`, which returns a `Result`; nothing needs to be
registered.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """What a drill found."""

    figures: dict[str, Any]
    problems: list[str] = field(default_factory=list[str])
    """What did not go as it must; with any of these the drill fails."""
