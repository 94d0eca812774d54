"""Sitemaps (sitemaps.org protocol): the addresses in one, whether plain text, XML, an index, or gzipped."""

from dataclasses import dataclass, field
from xml.parsers import expat

from groundwork.errors import Invalid
from groundwork.ingest.sources.fetch import Limits, unpacked

_LONGEST_ADDRESS = 2048


@dataclass
class Sitemap:
    """What a sitemap names."""

    pages: list[str] = field(default_factory=list[str])
    sitemaps: list[str] = field(default_factory=list[str])
    """Of an index: further sitemaps."""


def read_sitemap(content: bytes, limits: Limits) -> Sitemap:
    """What the sitemap `content` names.

    Raises Invalid when it is none, is larger than `limits` admit once unpacked, or declares a document type: a sitemap
    needs none, and entities are what expands a small file to gigabytes or reads other files.
    """
    if content.startswith(b"\x1f\x8b"):
        content = unpacked([content], "gzip", limits)
    if not content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return _plain(content)
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise Invalid(f"The sitemap is not well-formed XML: {error}.") from None
    if not reader.is_sitemap:
        raise Invalid("This is XML, but no sitemap: its root is neither `urlset` nor `sitemapindex`.")
    return reader.found


def _plain(content: bytes) -> Sitemap:
    lines = [line.strip() for line in content.decode("utf-8-sig", "replace").splitlines()]
    pages = [line for line in lines if line.startswith(("http://", "https://")) and len(line) <= _LONGEST_ADDRESS]
    if not pages and any(lines):
        raise Invalid("This is no sitemap: it is not XML, and no line of it is a web address.")
    return Sitemap(pages)


class _Reader:
    def __init__(self) -> None:
        self.found = Sitemap()
        self.is_sitemap = False
        self._open: list[str] = []
        self._text: list[str] = []

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if not self._open:
            self.is_sitemap = local in ("urlset", "sitemapindex")
        self._open.append(local)
        self._text.clear()

    def text(self, text: str) -> None:
        if self._open[-1] == "loc":
            self._text.append(text)

    def end(self, _name: str) -> None:
        # An image or a video of a page has a `loc` too, one level further down.
        place = self._open[1:]
        self._open.pop()
        address = "".join(self._text).strip()
        self._text.clear()
        if not address or len(address) > _LONGEST_ADDRESS:
            return
        if place == ["url", "loc"]:
            self.found.pages.append(address)
        elif place == ["sitemap", "loc"]:
            self.found.sitemaps.append(address)

    def doctype(self, *_declaration: object) -> None:
        raise Invalid("The sitemap declares a document type, which a sitemap has no need of and which can do harm.")
