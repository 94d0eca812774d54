"""The part of a web page that is the document: its main content, without the page's furniture.

A single pass over the tags, which never fails on a malformed page: what is not dropped is written out again.
"""

import html
import re
from html.parser import HTMLParser
from typing import NamedTuple

_DROPPED = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object", "button", "nav"})
_UNWRITTEN = frozenset({"html", "head", "body", "title", "meta", "link", "base"})
_FURNITURE = frozenset({"header", "footer", "aside"})
"""Belongs to the page when it stands outside the document, and to the document inside it."""
_DROPPED_ROLES = frozenset({"navigation", "search", "banner", "contentinfo", "complementary"})
_DROPPED_CLASSES = frozenset({"mw-editsection", "noprint", "headerlink"})
_FURNITURE_TAGS = re.compile(r"</?(?:nav|header|footer|aside|button)\b[^>]*>", re.I)
_CONTENT = frozenset({"main", "article"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_KEPT_ATTRIBUTES = frozenset({"href", "alt", "colspan", "rowspan", "start"})

Attributes = list[tuple[str, str | None]]


class Page(NamedTuple):
    """A web page's title, empty when it has none, and the HTML of its main content."""

    title: str
    body: str


def main_content(page: str) -> Page:
    """The `main` element of a page, else its only `article`, else its body without navigation, header and footer."""
    found = _scan(page)
    if not _has_words(found.body):
        # A `nav` that is never closed swallows the page.
        found = _scan(_FURNITURE_TAGS.sub("", page))
    return found


def _scan(page: str) -> Page:
    scan = _Scan()
    scan.feed(page)
    scan.close()
    return Page(" ".join("".join(scan.title).split()), scan.body())


class _Scan(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self._in_title = False
        self._dropping: str | None = None
        self._depth = 0
        self._open: dict[str, int] = dict.fromkeys(_CONTENT, 0)
        self._parts: dict[str, list[list[str]]] = {"main": [], "article": []}
        self._rest: list[str] = []

    def body(self) -> str:
        for kind in ("main", "article"):
            parts = ["".join(part) for part in self._parts[kind]]
            if len(parts) == 1 and _has_words(parts[0]):
                return parts[0]
        return "".join(self._rest)

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self._in_title = tag == "title" and not self.title
        if self._dropping is not None:
            self._depth += tag == self._dropping
        elif tag not in _VOID and self._is_dropped(tag, dict(attrs)):
            self._dropping, self._depth = tag, 1
        else:
            self._enter(tag)
            self._write(_start(tag, attrs))

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        if self._dropping is None and (tag in _VOID or tag not in _DROPPED):
            self._write(_start(tag, attrs) + ("" if tag in _VOID or tag in _UNWRITTEN else f"</{tag}>"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if self._dropping is None:
            self._write("" if tag in _UNWRITTEN else f"</{tag}>")
            self._leave(tag)
        elif tag == self._dropping:
            self._depth -= 1
            if self._depth == 0:
                self._dropping = None

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif self._dropping is None:
            self._write(html.escape(data, quote=False))

    def _is_dropped(self, tag: str, attributes: dict[str, str | None]) -> bool:
        if tag in _DROPPED:
            return True
        if tag in _UNWRITTEN or tag == "main":
            return False
        inside = any(self._open.values())
        if not inside and (tag in _FURNITURE or attributes.get("role") in _DROPPED_ROLES):
            return True
        if attributes.get("role") in ("navigation", "search"):
            return True
        return not _DROPPED_CLASSES.isdisjoint((attributes.get("class") or "").split())

    def _enter(self, tag: str) -> None:
        if tag in _CONTENT:
            if self._open[tag] == 0:
                self._parts[tag].append([])
            self._open[tag] += 1

    def _leave(self, tag: str) -> None:
        if tag in _CONTENT and self._open[tag]:
            self._open[tag] -= 1

    def _write(self, text: str) -> None:
        self._rest.append(text)
        for kind, depth in self._open.items():
            if depth:
                self._parts[kind][-1].append(text)


def _start(tag: str, attrs: Attributes) -> str:
    if tag in _UNWRITTEN:
        return ""
    kept = [f' {name}="{html.escape(value or "")}"' for name, value in attrs if name in _KEPT_ATTRIBUTES]
    return f"<{tag}{''.join(kept)}>"


def _has_words(body: str) -> bool:
    scan = _Words()
    scan.feed(body)
    return scan.found


class _Words(HTMLParser):
    found = False

    def handle_data(self, data: str) -> None:
        self.found = self.found or bool(data.strip())
