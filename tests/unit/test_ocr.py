"""Scans and pictures are read where Tesseract is installed, each page where it belongs; without it, the reason says so."""

import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from kreuzberg import render_pdf_page

from groundwork.errors import Invalid
from groundwork.ingest.extract import Extractor
from groundwork.ingest.ocr import Engine, find_engine
from groundwork.ingest.sources.config import FolderConfig
from groundwork.ingest.sources.folder import FolderSource
from groundwork.ingest.turn import upside_down
from groundwork.settings import IngestSettings
from plugins.documents import pdf, pdf_of

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")

FIRST = "The reservoir was built after the flood"
SECOND = "It is emptied every tenth year in autumn"


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor(IngestSettings(), workers=1) as extractor:
        yield extractor


def picture(tmp_path: Path, words: str) -> bytes:
    """A PNG of a page with these words, as a scanner would give it."""
    path = tmp_path / "page.pdf"
    path.write_bytes(pdf(words))
    return render_pdf_page(path, 0, dpi=200)


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the three bytes of each pixel."""
    width, height = struct.unpack(">II", png[16:24])
    at, packed = 8, b""
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        packed += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    raw, row, before, out = zlib.decompress(packed), width * 3, bytearray(width * 3), bytearray()
    for number in range(height):
        kind, line = raw[number * (row + 1)], bytearray(raw[number * (row + 1) + 1 : (number + 1) * (row + 1)])
        if kind == 2 and not any(line):
            line = before
        elif kind:
            for i in range(row):
                left, up, corner = (line[i - 3], before[i], before[i - 3]) if i > 2 else (0, before[i], 0)
                guess = left + up - corner
                nearest = min((left, up, corner), key=lambda value: abs(guess - value))
                line[i] = (line[i] + (0, left, up, (left + up) // 2, nearest)[kind]) & 255
        out += line
        before = line
    return width, height, bytes(out)


def tiff(*pngs: bytes) -> bytes:
    """A TIFF of several pages, not compressed."""
    out = bytearray(b"II*\0\0\0\0\0")
    link = 4
    for png in pngs:
        width, height, rgb = pixels(png)
        data = len(out)
        bits = data + len(rgb)
        out += rgb + struct.pack("<HHH", 8, 8, 8)
        out += b"\0" * (len(out) % 2)
        struct.pack_into("<I", out, link, len(out))
        entries = [
            (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, data),
            (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(rgb)),
        ]  # fmt: skip
        out += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
        link = len(out)
        out += bytes(4)
    return bytes(out)


def half_scanned(png: bytes) -> bytes:
    """A PDF of a page of text, a page that is a picture, and an empty one."""
    width, height, rgb = pixels(png)
    data = zlib.compress(rgb)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << %s >> >>"
    words, draw = b"BT /F 11 Tf 72 700 Td (" + FIRST.encode() + b") Tj ET", b"612 0 0 792 0 0 cm /I Do"
    stream = b"<< /Length %d %s >>\nstream\n%s\nendstream"
    shape = b"/Type /XObject /Subtype /Image /Width %d /Height %d " % (width, height)
    return pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R 4 0 R 9 0 R] /Count 3 >>",
            page % (5, b"/Font << /F 8 0 R >>"),
            page % (6, b"/XObject << /I 7 0 R >>"),
            stream % (len(words), b"", words),
            stream % (len(draw), b"", draw),
            stream % (len(data), shape + b"/ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /FlateDecode", data),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>",
        ]
    )


@needs_tesseract
def test_a_picture_of_words_is_read(extractor: Extractor, tmp_path: Path) -> None:
    extracted = extractor.extract(picture(tmp_path, f"{FIRST}\n{SECOND}"), "scan_of-2026.png")
    assert " ".join(extracted.text.split()) == f"{FIRST} {SECOND}"
    assert (extracted.media_type, extracted.title, extracted.pages) == ("image/png", "Scan of 2026", ())


@needs_tesseract
def test_a_picture_that_stands_on_its_head_is_turned(extractor: Extractor, tmp_path: Path) -> None:
    turned = upside_down(picture(tmp_path, f"{FIRST}\n{SECOND}"))
    assert turned is not None
    assert " ".join(extractor.extract(turned, "x.png").text.split()) == f"{FIRST} {SECOND}"


@needs_tesseract
def test_pages_of_a_tiff_are_pages(extractor: Extractor, tmp_path: Path) -> None:
    extracted = extractor.extract(tiff(picture(tmp_path, FIRST), picture(tmp_path, SECOND)), "fax.tif")
    assert extracted.text == f"{FIRST}\n\n{SECOND}"
    assert extracted.pages == (0, len(FIRST) + 2)


@needs_tesseract
def test_only_the_scanned_pages_of_a_pdf_are_recognised(extractor: Extractor, tmp_path: Path) -> None:
    content = half_scanned(picture(tmp_path, SECOND))
    extracted = extractor.extract(content, "x.pdf")
    assert extracted.text == f"{FIRST}\n\n{SECOND}"
    assert extracted.pages == (0, len(FIRST) + 2, len(extracted.text))
    with Extractor(IngestSettings(ocr_languages=""), workers=1) as without:
        assert without.extract(content, "x.pdf").text == FIRST


@needs_tesseract
def test_a_picture_without_words_or_damaged_says_so(extractor: Extractor, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"No text was recognised in the PNG image.*OCR_LANGUAGES .now: eng"):
        extractor.extract(picture(tmp_path, ""), "x.png")
    with pytest.raises(Invalid, match=r"none was recognised on its 2 pages.*sharper"):
        extractor.extract(pdf("", ""), "x.pdf")
    for damaged in (picture(tmp_path, FIRST)[:500], b"\xff\xd8\xff" + bytes(500), b"II*\0" + b"\xff" * 50):
        with pytest.raises(Invalid, match=r"it is damaged or too large|No text was recognised"):
            extractor.extract(damaged, "x.bin")


@needs_tesseract
def test_languages_that_are_not_installed_are_done_without() -> None:
    engine = find_engine("eng+xyz")
    assert isinstance(engine, Engine)
    assert engine.languages == "eng"
    reason = find_engine("xyz")
    assert isinstance(reason, str)
    assert "lacks the languages of GROUNDWORK_INGEST__OCR_LANGUAGES (xyz; installed: " in reason


def test_pictures_in_a_folder_are_documents_only_where_they_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("scan.png", "letter.JPG", "fax.tiff", "words.txt"):
        (tmp_path / name).write_bytes(b"x")
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    source = FolderSource(FolderConfig(path=str(tmp_path)))
    assert [item.filename for item in source.items()] == ["words.txt"]
    (programs / "tesseract").write_text("#!/bin/sh\n")
    (programs / "tesseract").chmod(0o755)
    offered = {item.filename for item in source.items()} - {"tesseract"}
    assert offered == {"fax.tiff", "letter.JPG", "scan.png", "words.txt"}
