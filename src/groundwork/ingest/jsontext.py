"""JSON as lines that can be read alone: each value with the path of keys that leads to it.

A list of records becomes one line, or one paragraph, per record, so that a passage holds whole records; numbers keep
their digits, keys their order, and a key that is there twice is there twice.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

_LONGEST_LINE = 400
"""Characters of a record up to which it is one line; a longer one has a line for each value."""
_MOST_GROWTH = 4
"""How many times longer than the file its text may be: paths said over and over can make much of little."""
_LEAST_ALLOWED = 20_000


class _Object(list[tuple[str, Any]]):
    """An object's pairs, in order."""


class _TooLong(Exception):
    pass


def json_text(text: str) -> str:
    """`text`, JSON or one JSON value per line, as lines of paths and values; as it is when it is neither."""
    try:
        value = _parse(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, list) or not value:
        return text
    try:
        return _limited(_blocks("", cast("list[Any]", value)), max(_MOST_GROWTH * len(text), _LEAST_ALLOWED))
    except (_TooLong, RecursionError):
        return text


def _parse(text: str) -> Any:
    try:
        return _load(text)
    except json.JSONDecodeError:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) < 2:
            raise
        return [_load(line) for line in lines]


def _load(text: str) -> Any:
    # Numbers stay as they are written: 1.10 is a version as often as a number.
    return json.loads(text, object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number, parse_constant=_Number)


class _Number(str):
    __slots__ = ()


def _limited(blocks: Iterator[str], most: int) -> str:
    parts: list[str] = []
    for block in blocks:
        most -= len(block)
        if most < 0:
            raise _TooLong
        parts.append(block)
    # Records that are lines follow each other; a record of several lines is a paragraph.
    pieces = parts[:1]
    for before, part in pairwise(parts):
        pieces += ["\n\n" if "\n" in before or "\n" in part else "\n", part]
    return "".join(pieces)


def _blocks(path: str, value: Any) -> Iterator[str]:
    """The lines and paragraphs of what is found at `path`."""
    if isinstance(value, _Object) and value:
        yield from _object_blocks(path, value)
    elif isinstance(value, list) and value and any(isinstance(item, list) for item in cast("list[Any]", value)):
        for number, item in enumerate(cast("list[Any]", value), start=1):
            yield from _record_blocks(f"{path}[{number}]" if path else "", item)
    else:
        yield _line(path, value)


def _object_blocks(path: str, pairs: _Object) -> Iterator[str]:
    """Values that stand next to each other make one paragraph; what holds more makes its own."""
    lines: list[str] = []
    for key, value in pairs:
        if _is_plain(value):
            lines.append(_line(_join(path, key), value))
            continue
        if lines:
            yield "\n".join(lines)
            lines = []
        yield from _blocks(_join(path, key), value)
    if lines:
        yield "\n".join(lines)


def _record_blocks(path: str, record: Any) -> Iterator[str]:
    if not isinstance(record, _Object) or not record:
        yield from _blocks(path, record)
        return
    leaves = [_line(key, value) for key, value in _leaves("", record)]
    line = "; ".join(leaves)
    prefix = f"{path} > " if path else ""
    if len(line) <= _LONGEST_LINE and "\n" not in line:
        yield prefix + line
    else:
        yield "\n".join(prefix + leaf for leaf in leaves)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if _is_plain(value):
        yield path, value
    elif isinstance(value, _Object):
        for key, inner in value:
            yield from _leaves(_join(path, key), inner)
    else:
        for number, inner in enumerate(value, start=1):
            yield from _leaves(f"{path}[{number}]", inner)


def _is_plain(value: Any) -> bool:
    """A value, or a list of values, that is said in one breath."""
    if isinstance(value, _Object):
        return not value
    return not isinstance(value, list) or not any(isinstance(item, list) for item in cast("list[Any]", value))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _line(path: str, value: Any) -> str:
    words = _plain(value)
    return f"{path}: {words}" if path else words


def _plain(value: Any) -> str:
    if isinstance(value, _Object):
        return "{}"
    if isinstance(value, list):
        return ", ".join(map(_plain, cast("Sequence[Any]", value))) if value else "[]"
    if isinstance(value, str):
        return str(value)
    return json.dumps(value)
