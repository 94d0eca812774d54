"""The reference pages of settings and commands, written from the code: `python -m groundwork.cli.reference FOLDER`."""

import os
import sys
import types
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typer.core import TyperGroup

from groundwork.cli.main import app
from groundwork.settings import RoleName, Settings
from groundwork.settings.models import PriceSettings, ProviderSettings

_WIDTH = 100
_SETTINGS_INTRO = (
    "Settings come from the environment and are checked together at start. "
    "`groundwork settings` prints the values in use."
)
_COMMANDS_INTRO = (
    "Results go to standard output, everything about the work to standard error. "
    "With `--json` a result is the body HTTP answers."
)
_PARTS: dict[str, type[BaseModel]] = {"A provider, as JSON": ProviderSettings, "A price, as JSON": PriceSettings}
_WRITTEN = "<!-- Written by scripts/reference. Do not edit: change the code and run it again. -->"


def pages() -> dict[str, str]:
    """Each page by its file name. The same code gives the same text on every machine."""
    return {"settings.md": settings_page(), "cli.md": commands_page()}


def settings_page() -> str:
    """Every setting: variable, default, what it takes, what it is for."""
    fields = Settings.model_fields
    parts = [
        f"# Settings\n\n{_WRITTEN}\n\n{_SETTINGS_INTRO}",
        _table("GROUNDWORK_", {name: field for name, field in fields.items() if _group(field) is None}),
    ]
    for name, field in fields.items():
        group = _group(field)
        if group is not None:
            parts += [f"## {name}\n\n{_first_line(group)}", _table(f"GROUNDWORK_{name.upper()}__", group.model_fields)]
    for title, part in _PARTS.items():
        parts += [f"## {title}\n\n{_first_line(part)}", _table("", part.model_fields)]
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """Every command with its arguments and options, as `--help` prints them."""
    root = typer.main.get_command(app)
    parts = [f"# The command line\n\n{_WRITTEN}\n\n{_COMMANDS_INTRO}", *_helps(root, "groundwork")]
    return "\n\n".join(parts) + "\n"


def _helps(command: Any, name: str) -> list[str]:
    context = command.context_class(command, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH)
    context.help_option_names = ["-h", "--help"]
    text = "\n".join(line.rstrip() for line in command.get_help(context).strip().splitlines())
    found = [f"## {name}\n\n```text\n{text}\n```"]
    if isinstance(command, TyperGroup):
        for key, each in command.commands.items():
            found += _helps(each, f"{name} {key}")
    return found


def _group(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _first_line(group: type[BaseModel]) -> str:
    return (group.__doc__ or "").strip().splitlines()[0]


def _table(prefix: str, fields: dict[str, FieldInfo]) -> str:
    rows = [
        f"| `{prefix}{name.upper() if prefix else name}` | {_default(field)} | {_takes(field)} | {field.description} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| variable | default | takes | |", "| --- | --- | --- | --- |", *rows])


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "depends on the system"
    if field.default is None:
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


_WORDS = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "`true` or `false`",
    Path: "path",
    Decimal: "number",
    PriceSettings: "a price",
    list[ProviderSettings]: "list of providers, as JSON",
    SecretStr: "secret",
    list[str]: "list of texts, as JSON",
    dict[str, SecretStr]: "secrets by name, as JSON",
    dict[str, RoleName]: "roles by value, as JSON",
}
_BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}


def _takes(field: FieldInfo) -> str:
    bounds = [
        text.format(f"{value:g}")
        for key, text in _BOUNDS.items()
        for each in field.metadata
        if (value := getattr(each, key, None)) is not None
    ]
    return ", ".join([_kind(field.annotation), *([" ".join(bounds)] if bounds else [])])


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return next(_kind(each) for each in get_args(annotation) if each is not type(None))
    return _WORDS[annotation]


def main(folder: Path) -> None:
    """Writes the pages into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(os.path.relpath(folder / name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
