"""Which format a file is in: what it holds decides, its name only where the content leaves it open.

A PDF named `.docx` is a PDF. Text says little about itself, so that there the name tells Markdown from CSV.
"""

import io
import re
import zipfile
from pathlib import PurePath

from groundwork.errors import Invalid

PDF = "application/pdf"
HTML = "text/html"
MARKDOWN = "text/markdown"
PLAIN = "text/plain"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
EML = "message/rfc822"
RTF = "application/rtf"
MSG = "application/vnd.ms-outlook"
EPUB = "application/epub+zip"
_OOXML = "application/vnd.openxmlformats-officedocument."
DOCX = _OOXML + "wordprocessingml.document"
PPTX = _OOXML + "presentationml.presentation"
XLSX = _OOXML + "spreadsheetml.sheet"
_ODF = "application/vnd.oasis.opendocument."
ODT = _ODF + "text"
ODS = _ODF + "spreadsheet"
ODP = _ODF + "presentation"
IMAGE = "image/"
_CODE = "text/x-"

NAMES = {
    PDF: "PDF", HTML: "HTML page", MARKDOWN: "Markdown file", PLAIN: "text file", CSV: "CSV file", TSV: "TSV file",
    JSON: "JSON file", EML: "e-mail", MSG: "Outlook message", RTF: "RTF document", EPUB: "EPUB", DOCX: "DOCX",
    PPTX: "PPTX", XLSX: "XLSX", ODT: "ODT", ODS: "ODS", ODP: "ODP", IMAGE + "png": "PNG image",
    IMAGE + "jpeg": "JPEG image", IMAGE + "gif": "GIF image", IMAGE + "tiff": "TIFF image",
}  # fmt: skip
"""What a format is called when it is spoken of to a person."""

_BY_SUFFIX = {
    ".md": MARKDOWN, ".markdown": MARKDOWN, ".mdown": MARKDOWN, ".mkd": MARKDOWN, ".mdx": MARKDOWN,
    ".html": HTML, ".htm": HTML, ".xhtml": HTML, ".csv": CSV, ".tsv": TSV, ".tab": TSV, ".json": JSON,
    ".jsonl": JSON, ".ndjson": JSON, ".eml": EML,
}  # fmt: skip
_LANGUAGES = {
    ".py": "python", ".js": "javascript", ".mjs": "javascript", ".jsx": "javascript", ".ts": "typescript",
    ".tsx": "typescript", ".java": "java", ".kt": "kotlin", ".scala": "scala", ".c": "c", ".h": "c", ".cc": "c++",
    ".cpp": "c++", ".hpp": "c++", ".cs": "csharp", ".go": "go", ".rs": "rust", ".rb": "ruby", ".php": "php",
    ".swift": "swift", ".sh": "shellscript", ".sql": "sql", ".lua": "lua", ".r": "r",
}  # fmt: skip
_BY_SUFFIX.update({suffix: _CODE + name for suffix, name in _LANGUAGES.items()})
_PARTS = (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX))
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", IMAGE + "png"), (b"\xff\xd8\xff", IMAGE + "jpeg"), (b"GIF8", IMAGE + "gif"),
    (b"II*\0", IMAGE + "tiff"), (b"MM\0*", IMAGE + "tiff"), (b"{\\rtf", RTF),
)  # fmt: skip
_FOREIGN = (
    (b"\x1f\x8b", "a gzip archive"), (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"), (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"), (b"MZ\x90", "a program"), (b"SQLite format 3\0", "a database"),
    (b"BZh", "a bzip2 archive"), (b"\xfd7zXZ\0", "an xz archive"), (b"OggS", "an audio file"),
    (b"ID3", "an audio file"),
)  # fmt: skip
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML_START = re.compile(
    rb"\s*(?:<!--(?:(?!-->).)*-->\s*|<\?xml[^>]*>\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_PDF_HEADER_WITHIN = 1024
"""Bytes in which readers look for a PDF's header (PDF 1.7, implementation note 13)."""
_BOMB_RATIO = 100
_BOMB_BYTES = 20 << 20


def detect(content: bytes, filename: str) -> str:
    """The media type of `content`.

    Raises Invalid for an empty file, a format that cannot be read, an archive that is damaged, encrypted or
    that unpacks to far more than a document does.
    """
    if not content.strip(b"\0 \t\r\n\f\xef\xbb\xbf"):
        raise Invalid("The file is empty: it holds no text.")
    if content.startswith(b"PK\x03\x04"):
        return _in_zip(content)
    if content.startswith(_OLE):
        return _in_ole(content)
    for signature, media_type in _SIGNATURES:
        if content.startswith(signature):
            return media_type
    for signature, what in _FOREIGN:
        if content.startswith(signature):
            raise Invalid(f"The file is {what}: this format cannot be read; add the documents themselves.")
    if b"%PDF-" in content[:_PDF_HEADER_WITHIN]:
        return PDF
    return _text_type(content, filename)


def is_code(media_type: str) -> bool:
    """Whether a media type is that of source code."""
    return media_type.startswith(_CODE)


def _text_type(content: bytes, filename: str) -> str:
    if _HTML_START.match(content[:2048].removeprefix(b"\xef\xbb\xbf")):
        return HTML
    return _BY_SUFFIX.get(PurePath(filename).suffix.lower(), PLAIN)


def _in_zip(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            mimetype = archive.read("mimetype")[:100].decode("ascii", "replace") if _has_mimetype(entries) else ""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError) as error:
        raise Invalid("The file is damaged or incomplete: export or download it again.") from error
    media_type = mimetype.strip() or next((kind for start, kind in _PARTS if _has(entries, start)), "")
    if media_type not in NAMES:
        raise Invalid("The file is an archive of other files: unpack it and add the documents themselves.")
    _refuse_bombs(entries, media_type)
    return media_type


def _has_mimetype(entries: list[zipfile.ZipInfo]) -> bool:
    return any(entry.filename == "mimetype" and entry.file_size < 200 for entry in entries)


def _has(entries: list[zipfile.ZipInfo], start: str) -> bool:
    return any(entry.filename.startswith(start) for entry in entries)


def _refuse_bombs(entries: list[zipfile.ZipInfo], media_type: str) -> None:
    for entry in entries:
        if entry.file_size > _BOMB_BYTES and entry.file_size > _BOMB_RATIO * max(entry.compress_size, 1):
            raise Invalid(
                f"The {NAMES[media_type]} unpacks to {entry.file_size >> 20} MiB, "
                f"{entry.file_size // max(entry.compress_size, 1)} times its size, as no real document does: "
                "save it anew from its own program, or split it."
            )


def _in_ole(content: bytes) -> str:
    if "EncryptedPackage".encode("utf-16-le") in content:
        raise Invalid("The document is encrypted: remove its password and add it again.")
    if "__properties_version1.0".encode("utf-16-le") in content:
        return MSG
    raise Invalid("The file is in an Office format older than 2007: save it as DOCX, XLSX or PPTX and add it again.")
