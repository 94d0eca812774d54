"""What a web page is: its media type to a file name that says so, and its text to one that names its own encoding."""

import codecs
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx

from groundwork.errors import Invalid
from groundwork.ingest.sources.fetch import Page
from groundwork.ingest.sources.names import SUFFIXES, clean_name

_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
_SUFFIX = {
    "text/html": ".html", "application/xhtml+xml": ".xhtml", "text/markdown": ".md", "text/x-markdown": ".md",
    "text/csv": ".csv", "text/tab-separated-values": ".tsv", "application/json": ".json", "text/json": ".json",
    "application/pdf": ".pdf", "application/rtf": ".rtf", "text/rtf": ".rtf", "application/epub+zip": ".epub",
    "message/rfc822": ".eml", "application/vnd.ms-outlook": ".msg", "text/xml": ".xml", "application/xml": ".xml",
    "application/yaml": ".yaml", "application/x-yaml": ".yaml", "text/yaml": ".yaml", "text/x-rst": ".rst",
    _OOXML + "wordprocessingml.document": ".docx", _OOXML + "presentationml.presentation": ".pptx",
    _OOXML + "spreadsheetml.sheet": ".xlsx", _ODF + "text": ".odt", _ODF + "spreadsheet": ".ods",
    _ODF + "presentation": ".odp",
}  # fmt: skip
_SAYS_LITTLE = frozenset({"", "text/plain", "application/octet-stream", "binary/octet-stream", "application/zip"})
"""Types that servers give to whatever they do not know: there the address tells."""
_NO_DOCUMENTS = frozenset(
    ".png .jpg .jpeg .gif .svg .webp .ico .bmp .tif .tiff .mp3 .mp4 .avi .mov .webm .ogg .wav .zip .gz .tgz .bz2 .xz "
    ".7z .rar .exe .dmg .iso .css .woff .woff2 .ttf .eot .map .wasm .jar .whl .deb .rpm .apk".split()
)
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7", "mbcs", "oem"}
)
"""Codecs that Python has and no web page is written in; some take for ever on a text made for it."""


def suffix_for(page: Page) -> str:
    """The suffix that tells an extractor what `page` is. Raises Invalid when it is no document."""
    if page.media_type in _SUFFIX:
        return _SUFFIX[page.media_type]
    by_address = _address_suffix(page.url)
    if by_address in SUFFIXES and (page.media_type in _SAYS_LITTLE or page.media_type.startswith("text/")):
        return by_address
    if page.media_type.startswith("text/") or page.media_type == "":
        return ".txt"
    if page.media_type.endswith("+json"):
        return ".json"
    if page.media_type.endswith("+xml") and not page.media_type.startswith("image/"):
        return ".xml"
    raise Invalid(f"The page is of type {page.media_type}, which holds no text that can be read.")


def file_name(url: str, suffix: str) -> str:
    """A file name for the page at `url`: the last part of its path, with the suffix of what it is."""
    address = httpx.URL(url)
    last = PurePosixPath(unquote(address.path)).name
    stem = last if last and _address_suffix(url) not in SUFFIXES else PurePosixPath(last).stem
    return clean_name(stem or address.host) + suffix


def may_be_document(url: str) -> bool:
    """Whether a followed link can lead to a document, by its address alone."""
    return _address_suffix(url) not in _NO_DOCUMENTS


def with_encoding(page: Page) -> bytes:
    """The content; a text whose encoding the server names comes in UTF-8 with a byte order mark, which says so itself.

    What the server says goes before what the page says of itself (HTML standard, encoding sniffing algorithm). Where it
    is wrong, the content stays as it is.
    """
    if page.charset is None or not (page.media_type.startswith("text/") or page.media_type.endswith(("json", "xml"))):
        return page.content
    marks = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if page.content.startswith(marks):
        return page.content
    try:
        encoding = codecs.lookup(page.charset).name
        if encoding in _NO_CHARSETS:
            return page.content
        # What calls itself Latin-1 or ASCII on the web is Windows-1252 (WHATWG Encoding Standard, section 4.2).
        text = page.content.decode("cp1252" if encoding in ("iso8859-1", "ascii") else encoding)
    except (LookupError, ValueError):
        return page.content
    return codecs.BOM_UTF8 + text.encode("utf-8", "replace")


def _address_suffix(url: str) -> str:
    return PurePosixPath(httpx.URL(url).path).suffix.lower()
