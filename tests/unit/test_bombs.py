"""Files made to exhaust whoever opens them: each costs itself, quickly, and says what is wrong. All are made here."""

import io
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator

import pytest

from groundwork.errors import Invalid
from groundwork.ingest.extract import Extractor
from groundwork.settings import IngestSettings
from plugins.documents import archive, docx, opendocument, paragraph, pdf_of

_SECONDS = 10.0
_LAUGHS = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">{}]>'.format(
    "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
)
"""A document type that makes `&j;` thirty billion letters."""


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    limits = IngestSettings(extract_timeout_seconds=_SECONDS, extract_memory_mb=512, ocr_languages="")
    with Extractor(limits, workers=1) as extractor:
        yield extractor


def with_laughs(content: bytes, part: str) -> bytes:
    """The archive, one of its parts preceded by the document type."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        parts = {entry.filename: old.read(entry) for entry in old.infolist()}
    declaration, _, rest = parts[part].rpartition(b"?>")
    parts[part] = declaration + (b"?>" if declaration else b"") + _LAUGHS.encode() + rest
    return archive(dict(parts))


def epub(page: str) -> bytes:
    container = (
        '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
        'full-path="c.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest><item id="a" href="a.xhtml" '
        'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>'
    )
    return archive(
        {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "c.opf": package, "a.xhtml": page}
    )


def many_parts() -> bytes:
    """A DOCX of which no part inflates by much and all together do."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx(paragraph("Words.")))) as old, zipfile.ZipFile(out, "w", 8) as new:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry))
        for number in range(50):
            new.writestr(f"word/media/{number}.xml", b"a" * 15_000_000)
    return out.getvalue()


def nested() -> bytes:
    content = archive({"word/document.xml": "<x/>"})
    for _ in range(30):
        content = archive({"inner.zip": content})
    return content


def overlapping() -> bytes:
    """A ZIP whose directory names the same compressed bytes a thousand times."""
    once = archive({"word/document.xml": b"0" * 15_000_000})
    directory, end = once.index(b"PK\x01\x02"), once.index(b"PK\x05\x06")
    entry = once[directory:end]
    entries = entry + b"".join(entry.replace(b"document.xml", b"documen%04d" % n + b"l") for n in range(1000))
    count = (1001).to_bytes(2, "little")
    tail = b"PK\x05\x06\0\0\0\0" + count + count + len(entries).to_bytes(4, "little") + directory.to_bytes(4, "little")
    return once[:directory] + entries + tail + b"\0\0"


CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
EMPTY_PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def pages(kids: bytes, count: int) -> bytes:
    return b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)


def inflating_pdf() -> bytes:
    """A page of 400 MB, compressed twice to a few thousand bytes."""
    inner = zlib.compressobj(9)
    line = b"(words that no one will ever read, over and over) Tj 0 -1 Td " * 1000
    stream = b"".join([inner.compress(b"BT /F 1 Tf "), *(inner.compress(line) for _ in range(6500)), inner.flush()])
    stream = zlib.compress(stream, 9)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>"
    body = b"<< /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)
    return pdf_of([CATALOGUE, pages(b"3 0 R", 1), page, body, FONT])


def page_tree(depth: int) -> bytes:
    """Every node of the tree of pages names the next one twice."""
    nodes = [pages(b"%d 0 R %d 0 R" % (n + 1, n + 1), 2**30) for n in range(2, depth + 2)]
    return pdf_of([CATALOGUE, *nodes, EMPTY_PAGE])


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "laughs.odt": (
        lambda: with_laughs(opendocument("text", "<office:text><text:p>&j;</text:p></office:text>"), "content.xml"),
        "ODT is damaged",
    ),
    "laughs.docx": (lambda: with_laughs(docx(paragraph("&j;")), "word/document.xml"), "DOCX"),
    "laughs.pptx": (lambda: archive({"ppt/presentation.xml": f"{_LAUGHS}<p>&j;</p>"}), "PPTX"),
    "laughs.xlsx": (lambda: archive({"xl/workbook.xml": f"{_LAUGHS}<workbook>&j;</workbook>"}), "XLSX"),
    "one-part.docx": (lambda: docx(paragraph("a" * 40_000_000)), "unpacks to"),
    "many-parts.docx": (many_parts, "DOCX is damaged|unpacks"),
    "nested.zip": (nested, "archive of other files"),
    "overlapping.docx": (overlapping, "DOCX|damaged"),
    "deep.docx": (lambda: docx("<w:p>" * 200_000), "DOCX is damaged"),
    "deep.odt": (lambda: opendocument("text", "<office:text>" + "<text:list>" * 200_000), "ODT is damaged"),
    "count.pdf": (lambda: pdf_of([CATALOGUE, pages(b"3 0 R", 2_000_000_000), EMPTY_PAGE]), "PDF"),
    "circle.pdf": (lambda: pdf_of([CATALOGUE, pages(b"2 0 R 2 0 R", 2)]), "PDF"),
    "brackets.pdf": (
        lambda: pdf_of([b"<< /Type /Catalog /Pages 2 0 R /X " + b"[" * 200_000 + b" >>", pages(b"", 0)]),
        "PDF",
    ),
    "tree.pdf": (lambda: page_tree(60), "PDF|took longer"),
    "many-pages.pdf": (lambda: pdf_of([CATALOGUE, pages(b"3 0 R " * 200_000, 200_000), EMPTY_PAGE]), "PDF|took longer"),
    "inflating.pdf": (inflating_pdf, "reader ended abruptly|memory|took longer|characters"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bomb_is_refused_in_time_with_a_reason(extractor: Extractor, name: str) -> None:
    make, reason = REFUSED[name]
    content = make()
    began = time.monotonic()
    with pytest.raises(Invalid, match=reason):
        extractor.extract(content, name)
    assert time.monotonic() - began < _SECONDS + 5
    assert extractor.extract(b"<p>the next file", "next.html").text == "the next file"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("laughs.html", f"{_LAUGHS}<html><body><p>&j;</p> words</body></html>".encode()),
        ("laughs.svg", f"{_LAUGHS}<svg><text>&j;</text></svg>".encode()),
        ("laughs.xml", f"{_LAUGHS}<a>&j;</a>".encode()),
        ("laughs.epub", epub(f"{_LAUGHS}<html><body><p>&j; words</p></body></html>")),
        ("deep.json", b"[" * 300_000),
        ("objects.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    ],
)
def test_what_only_grows_when_it_is_expanded_is_not_expanded(extractor: Extractor, name: str, content: bytes) -> None:
    began = time.monotonic()
    assert len(extractor.extract(content, name).text) <= len(content)
    assert time.monotonic() - began < _SECONDS
