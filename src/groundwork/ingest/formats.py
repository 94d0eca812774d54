"""Reading the formats that a library reads for us; runs in a worker process.

What the library answers is not taken as it is: its page positions hold only for plain text, its tables lose their
headers when they are split, and its errors say what failed inside it instead of what a person can do.
"""

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from groundwork.errors import Invalid
from groundwork.ingest import detect, scans
from groundwork.ingest.decode import decode
from groundwork.ingest.html import main_content
from groundwork.ingest.jsontext import json_text
from groundwork.ingest.mail import Part, read_mail
from groundwork.ingest.markdown import table_rows, tidy
from groundwork.ingest.odf import read_odf
from groundwork.ingest.pdf import joined_pages, mend, page_text, pages_text
from groundwork.ingest.scans import NO_RECOGNITION, Recognition
from groundwork.ingest.tables import csv_text, rows_text

_PAGE_MARK = re.compile(r"^gwslide(\d+)gw$", re.M)
_PAGE_MARK_FORMAT = "\n\ngwslide{page_num}gw\n\n"
_PICTURE = re.compile(rb"<p:pic\b.*?</p:pic>", re.S)
_SAID_TWICE = re.compile(r"^(.+): \1$")
_MAIL_HEADER = re.compile(r"^\*\*([\w-]+)\*\*:", re.M)
_LETTER = re.compile(r"[^\W_]")
_UNREADABLE = "The text of the PDF is not readable, because its fonts do not say which letters they draw"
_FEWEST_LETTERS = 0.4
"""Share of letters and digits in what is printed, dots aside, below which a PDF's fonts name the wrong letters."""


@dataclass(frozen=True)
class Reading:
    """What a format held, before it is normalised."""

    text: str
    title: str = ""
    pages: tuple[int, ...] = ()
    markdown: bool = False
    scanned: str = ""
    """Why text recognition would be needed, a whole clause, where there is no text and no way to recognise it."""
    parts: tuple[Part, ...] = ()
    """Files inside, to be read by their own formats."""


def read(content: bytes, media_type: str, recognition: Recognition = NO_RECOGNITION) -> Reading:
    """The text of a document.

    Raises Invalid with a reason a person can act on.
    """
    try:
        if media_type == detect.PDF:
            return _read_pdf(content, recognition)
        if media_type.startswith(detect.IMAGE):
            return _read_image(content, detect.NAMES[media_type], recognition)
        reader = _READERS.get(media_type)
        return reader(content) if reader else _read_other(content, media_type)
    except Invalid:
        raise
    except Exception as error:
        raise Invalid(_reason(error, media_type)) from error


def _library(content: bytes, media_type: str, output: str, **pages: Any) -> Any:
    # Imported late: a quarter of a worker's start, and processes that only read text never need it.
    from kreuzberg import ExtractionConfig, PageConfig, extract_bytes_sync

    config = ExtractionConfig(use_cache=False, output_format=output, pages=PageConfig(**pages) if pages else None)
    return extract_bytes_sync(content, media_type, config=config)


def _read_pdf(content: bytes, recognition: Recognition) -> Reading:
    try:
        result = _library(content, detect.PDF, "plain", extract_pages=True)
    except Exception:
        mended = mend(content)
        if mended is None:
            raise
        content = mended
        result = _library(content, detect.PDF, "plain", extract_pages=True)
    pages = [page["content"] for page in sorted(result.pages or [], key=lambda page: page["page_number"])]
    unread, why = _unread_pages(pages)
    if unread and recognition.engine is not None:
        recognition.begins()
        found = scans.scanned_pages(content, unread, recognition.engine)
        pages = [found.get(number, page) for number, page in enumerate(pages)]
        why = ""
    text, starts = pages_text(pages)
    if not text and recognition.engine is not None:
        raise scans.nothing_recognised(_count(len(pages), "page"), recognition.engine)
    return Reading(text, _title(result), starts, scanned=why)


def _unread_pages(pages: Sequence[str]) -> tuple[list[int], str]:
    """The pages, counted from 0, that only recognition can read; and why, where that is all there is to read."""
    text, _ = pages_text(pages)
    if not text:
        return list(range(len(pages))), f"No text could be extracted from the {_count(len(pages), 'page')} of the PDF"
    printed = re.sub(r"[\s.]", "", text)
    if len(_LETTER.findall(printed)) < _FEWEST_LETTERS * len(printed):
        return list(range(len(pages))), _UNREADABLE
    return [number for number, page in enumerate(pages) if not page_text(page)], ""


def _read_slides(content: bytes) -> Reading:
    options = {"extract_pages": True, "insert_page_markers": True, "marker_format": _PAGE_MARK_FORMAT}
    try:
        result = _library(content, detect.PPTX, "markdown", **options)
    except Exception as error:
        if "image" not in str(error).lower():
            raise
        result = _library(_without_pictures(content), detect.PPTX, "markdown", **options)
    slides = _PAGE_MARK.split(result.content)
    # The text before the first mark, then number and text of each slide in turn.
    texts = [tidy(text).strip() for text in [slides[0], *slides[2::2]]]
    if len(texts) > 1:
        texts[:2] = ["\n\n".join(filter(None, texts[:2]))]
    text, starts = joined_pages(texts)
    return Reading(text, _title(result), starts, markdown=True)


def _read_odf(content: bytes, slides: bool = False) -> Reading:
    document = read_odf(content)
    text, starts = joined_pages(document.pieces)
    return Reading(text, document.title, starts if slides else (), markdown=True)


def _without_pictures(content: bytes) -> bytes:
    """The presentation with its pictures taken out: one that is linked instead of stored stops the library."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            part = old.read(entry)
            new.writestr(entry, _PICTURE.sub(b"", part) if entry.filename.startswith("ppt/slides/slide") else part)
    return out.getvalue()


def _read_html(content: bytes) -> Reading:
    page = main_content(decode(content, declared=True))
    result = _library(page.body.encode(), detect.HTML, "markdown")
    return Reading(tidy(result.content), page.title, markdown=True)


def _read_sheets(content: bytes, media_type: str) -> Reading:
    result = _library(content, media_type, "markdown")
    parts: list[str] = []
    rows: list[list[str]] = []
    for line in [*result.content.split("\n"), ""]:
        cells = table_rows(line)
        if cells is not None:
            rows.append(cells)
        elif not line.startswith("|"):
            parts += filter(None, (rows_text(rows), line.strip()))
            rows = []
    return Reading("\n\n".join(parts), _title(result), markdown=True)


def _read_image(content: bytes, name: str, recognition: Recognition) -> Reading:
    if recognition.engine is None:
        return Reading("", scanned=f"The file is a {name}")
    recognition.begins()
    text, starts = pages_text(scans.image_pages(content, name, recognition.engine))
    return Reading(text, "", starts if len(starts) > 1 else ())


def _read_mail(content: bytes) -> Reading:
    mail = read_mail(content)
    texts = [_read_html(text.encode()).text if kind == "text/html" else text.strip() for kind, text in mail.body]
    text = "\n\n".join([mail.headers, *filter(None, texts)])
    markdown = any(kind == "text/html" for kind, _ in mail.body)
    return Reading(text, mail.subject, markdown=markdown, parts=mail.parts)


def _read_outlook(content: bytes) -> Reading:
    result = _library(content, detect.MSG, "markdown")
    text = _MAIL_HEADER.sub(r"\1:", tidy(result.content))
    # The library reads what is attached itself, and leaves out what it cannot read.
    read = {str(child["path"]): str(child["result"].content) for child in cast("list[Any]", result.children or [])}
    names = map(str, cast("list[Any]", result.metadata.get("attachments") or []))
    return Reading(text, _title(result), parts=tuple(Part(name, read.get(name, "").encode()) for name in names))


def _read_other(content: bytes, media_type: str) -> Reading:
    result = _library(content, media_type, "markdown")
    return Reading(tidy(result.content), _title(result), markdown=True)


_READERS: dict[str, Callable[[bytes], Reading]] = {
    detect.PPTX: _read_slides,
    detect.HTML: _read_html,
    detect.ODT: _read_odf,
    detect.ODP: lambda content: _read_odf(content, slides=True),
    detect.XLSX: lambda content: _read_sheets(content, detect.XLSX),
    detect.ODS: lambda content: _read_sheets(content, detect.ODS),
    detect.CSV: lambda content: Reading(csv_text(decode(content))),
    detect.TSV: lambda content: Reading(csv_text(decode(content), "\t")),
    detect.JSON: lambda content: Reading(json_text(decode(content))),
    detect.EML: _read_mail,
    detect.MSG: _read_outlook,
}


def _title(result: Any) -> str:
    return str(result.metadata.get("title") or result.metadata.get("subject") or "")


def _reason(error: Exception, media_type: str) -> str:
    name = detect.NAMES.get(media_type, "file")
    message = str(error).lower()
    if "password" in message or "encrypted" in message:
        return f"The {name} is encrypted: remove its password and add it again."
    if isinstance(error, MemoryError):
        return f"The {name} needs more memory than a worker may use: split it into smaller files."
    if type(error).__name__ == "ValidationError":
        return f"The format {name} cannot be read: save it as PDF or DOCX and add it again."
    short = _SAID_TWICE.sub(r"\1", str(error).removeprefix("ParsingError: ").split("\n")[0])[:160]
    return f"The {name} is damaged or incomplete: export or download it again. (Its reader says: {short})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
