"""OpenDocument text and presentations as Markdown, read from their XML.

The library that reads the other formats drops the words of formatted spans and of lists in tables here.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from groundwork.errors import Invalid

_NAMESPACE = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_TEXT, _TABLE, _DRAW = _NAMESPACE % "text", _NAMESPACE % "table", _NAMESPACE % "drawing"
_OFFICE, _PRESENTATION = _NAMESPACE % "office", _NAMESPACE % "presentation"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_SKIPPED = frozenset(
    {
        _TEXT + "tracked-changes", _TEXT + "note-citation", _TEXT + "sequence-decls", _OFFICE + "annotation",
        _OFFICE + "forms", _NAMESPACE % "svg-compatible" + "title",
        _NAMESPACE % "svg-compatible" + "desc", _TEXT + "bookmark", _TABLE + "shapes",
    }
)  # fmt: skip
_BLOCKS = frozenset({_TEXT + "p", _TEXT + "h", _TEXT + "list", _TABLE + "table", _DRAW + "page"})
_MOST_REPEATS = 100


class Document(NamedTuple):
    """An OpenDocument's title, empty when it has none, and its Markdown; one piece per slide, or one in all."""

    title: str
    pieces: list[str]


def read_odf(content: bytes) -> Document:
    """The words of an ODT or ODP file.

    Raises Invalid when it is encrypted, KeyError, ParseError or BadZipFile when it is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = set(archive.namelist())
        if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise Invalid("The document is encrypted: remove its password and add it again.")
        # A worker process reads this, under limits; expat itself bounds the expansion of entities.
        root = ElementTree.fromstring(archive.read("content.xml"))  # noqa: S314
        title = _meta_title(archive.read("meta.xml")) if "meta.xml" in names else ""
    body = root.find(_OFFICE + "body")
    if body is None:
        raise KeyError("office:body")
    slides = list(body.iter(_DRAW + "page"))
    return Document(title, [_slide(slide) for slide in slides] if slides else ["\n\n".join(_blocks(body))])


def _meta_title(meta: bytes) -> str:
    found = next(ElementTree.fromstring(meta).iter(_TITLE), None)  # noqa: S314
    return (found.text or "") if found is not None else ""


def _slide(slide: Element) -> str:
    parts: list[str] = []
    for shape in slide:
        words = "\n\n".join(_blocks(shape))
        if shape.get(_PRESENTATION + "class") == "title" and words:
            parts.insert(0, "## " + " ".join(words.split()))
        elif words:
            parts.append(words)
    return "\n\n".join(parts)


def _blocks(parent: Element) -> Iterator[str]:
    for child in parent:
        if child.tag in _SKIPPED:
            continue
        if child.tag == _TEXT + "h":
            words = " ".join(_inline(child).split())
            level = min(int(child.get(_TEXT + "outline-level", "1")), 6)
            yield from [f"{'#' * level} {words}"] if words else []
        elif child.tag == _TEXT + "p":
            words = _inline(child).strip()
            yield from [words] if words else []
            yield from _boxes(child)
        elif child.tag == _TEXT + "list":
            yield from filter(None, ["\n".join(_items(child, 0))])
        elif child.tag == _TABLE + "table":
            yield from filter(None, [_table(child)])
        else:
            yield from _blocks(child)


def _boxes(paragraph: Element) -> Iterator[str]:
    for box in paragraph.iter(_DRAW + "text-box"):
        yield from _blocks(box)


def _inline(node: Element) -> str:
    parts = [node.text or ""]
    for child in node:
        if child.tag == _TEXT + "s":
            parts.append(" " * min(int(child.get(_TEXT + "c", "1")), _MOST_REPEATS))
        elif child.tag == _TEXT + "tab":
            parts.append("\t")
        elif child.tag == _TEXT + "line-break":
            parts.append("\n")
        elif child.tag == _TEXT + "note":
            parts.append(f" ({' '.join(' '.join(_blocks(child)).split())})")
        elif child.tag not in _SKIPPED and child.tag != _DRAW + "frame" and child.tag not in _BLOCKS:
            parts.append(_inline(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _items(listing: Element, depth: int) -> Iterator[str]:
    for item in listing:
        own = [" ".join(_inline(part).split()) for part in item if part.tag in (_TEXT + "p", _TEXT + "h")]
        words = " ".join(filter(None, own))
        if words:
            yield f"{'  ' * depth}- {words}"
        for part in item:
            if part.tag == _TEXT + "list":
                yield from _items(part, depth + bool(words))


def _table(table: Element) -> str:
    rows = [_cells(row) for row in _rows(table)]
    rows = [row for row in rows if any(row)]
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        if child.tag == _TABLE + "table-row":
            yield child
        elif child.tag != _TABLE + "table":
            yield from _rows(child)


def _cells(row: Element) -> list[str]:
    cells: list[str] = []
    for cell in row:
        words = " ".join(" ".join(_blocks(cell)).split()).replace("|", "\\|")
        words = words.removeprefix("- ") if words.count("- ") == 1 else words
        repeats = int(cell.get(_TABLE + "number-columns-repeated", "1"))
        cells += [words] * min(repeats, _MOST_REPEATS)
    while cells and not cells[-1]:
        cells.pop()
    return cells
