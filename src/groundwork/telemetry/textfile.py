"""Metrics of what ends before a scrape, as a file in Prometheus's text format for a textfile collector."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4


def gauge(name: str, meaning: str, values: Mapping[str, float]) -> list[str]:
    """Lines of a gauge: values by labels as they are written, such as `kind="signing"`; the empty text is none."""
    samples = [f"{name}{f'{{{labels}}}' if labels else ''} {value}" for labels, value in values.items()]
    return [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", *samples]


def write(file: Path, lines: Sequence[str]) -> None:
    """Writes metrics, making the folder when there is none. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, "\n".join(lines) + "\n")


def replace(file: Path, text: str) -> None:
    """Whole or not at all: a scrape may read it any moment. Raises OSError."""
    draft = file.with_name(f".{file.name}.{uuid4().hex[:8]}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
