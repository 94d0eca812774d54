"""`groundwork settings`."""

from typing import Any, cast

from groundwork.cli import run
from groundwork.cli.options import AsJson
from groundwork.cli.output import put_json, say


def settings(as_json: AsJson = False) -> None:
    """Print every setting with its value; secrets stay hidden."""
    values: dict[str, Any] = run.settings().model_dump(mode="json")
    if as_json:
        put_json(values)
        return
    for name, value in _flat("GROUNDWORK", values):
        say(f"{name}={'' if value is None else value}")


def _flat(prefix: str, values: dict[str, Any], joint: str = "_") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}{joint}{key.upper()}"
        if isinstance(value, dict):
            found += _flat(name, cast("dict[str, Any]", value), "__")
        else:
            found.append((name, value))
    return found
