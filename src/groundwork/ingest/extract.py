"""A file's bytes to the text that is stored, with its title and the positions of its pages.

Plain text is decoded here; every other format is read in a worker process under limits, and so is each file inside
a mail, one by one.
"""

import re
import time
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType
from typing import Self, cast

from groundwork.errors import Invalid
from groundwork.ingest import detect
from groundwork.ingest.attachments import Allowance, with_attachments
from groundwork.ingest.decode import clean, decode
from groundwork.ingest.headings import first_heading
from groundwork.ingest.isolate import Answer, Pool, Request
from groundwork.ingest.ocr import Engine, find_engine
from groundwork.settings import IngestSettings

_ATTACHMENT_SHARE = 2
"""Times the longest extraction of one file that all the files inside one may take together."""
_ENGINE_SECONDS = 60
"""For how long it is taken for granted that Tesseract is there, or is not."""
_NO_TITLE = re.compile(
    r"(?:untitled|no ?title|unknown|title|document\d*|powerpoint presentation|présentation powerpoint|presentation\d*|"
    r"slide \d+|microsoft word.*|.*\.\w{2,5})?",
    re.I,
)
_LONGEST_TITLE = 300


@dataclass(frozen=True)
class Extracted:
    """What a file holds, ready to be stored."""

    text: str
    """The stored text: no NUL, no lone surrogate, lines ending in a line feed. Never blank."""
    title: str
    """From the document's metadata, else its first heading, else its file name. Never blank."""
    media_type: str
    pages: tuple[int, ...]
    """Offset in `text`, in characters, at which each page or slide starts; empty where the format has none."""
    markdown: bool
    """Whether `text` is Markdown, so that its headings can be told."""
    code: bool = False
    """Whether `text` is source code."""


class Extractor:
    """Extracts documents, up to `workers` at a time. Thread-safe; `close` ends its processes."""

    def __init__(self, limits: IngestSettings, workers: int = 2) -> None:
        self._limits = limits
        self._most_characters = limits.extract_text_mb << 20
        self._pool = Pool(workers, limits.extract_timeout_seconds, limits.extract_memory_mb)
        self._engine: tuple[float, Engine | str] = (-_ENGINE_SECONDS, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker processes."""
        self._pool.close()

    def extract(self, content: bytes, filename: str) -> Extracted:
        """What the file `content`, named `filename`, holds. Blocks.

        Raises Invalid, with a reason a person can act on, when the file is empty, damaged, encrypted, too large, of
        a format that cannot be read, or exceeds a limit; Unavailable after `close`.
        """
        seconds = _ATTACHMENT_SHARE * self._limits.extract_timeout_seconds
        return self._extract(content, filename, 0, Allowance.inside(content, seconds, self._most_characters))

    def _extract(self, content: bytes, filename: str, depth: int, allowance: Allowance) -> Extracted:
        if len(content) > self._limits.max_file_mb << 20:
            raise Invalid(
                f"The file has {len(content) / (1 << 20):.1f} MiB and at most {self._limits.max_file_mb} MiB are "
                "taken: split it, or raise GROUNDWORK_INGEST__MAX_FILE_MB."
            )
        media_type = detect.detect(content, filename)
        if media_type in (detect.PLAIN, detect.MARKDOWN) or detect.is_code(media_type):
            extracted = _extract_text(content, filename, media_type)
        else:
            extracted = self._extract_elsewhere(content, filename, media_type, depth, allowance)
        if len(extracted.text) > self._most_characters:
            raise self._too_much(len(extracted.text))
        if not extracted.text.strip():
            raise Invalid(f"The {detect.NAMES.get(media_type, 'file')} holds no text.")
        return extracted

    def _extract_elsewhere(
        self, content: bytes, filename: str, media_type: str, depth: int, allowance: Allowance
    ) -> Extracted:
        answer = self._read(content, media_type)
        header = answer.header
        text, markdown = clean(answer.text), bool(header["markdown"])
        if answer.parts:
            # Headings tell the files apart.
            markdown = True

            def read(content: bytes, name: str, depth: int) -> Extracted:
                return self._extract(content, name, depth, allowance)

            text = with_attachments(text, answer.parts, read, depth, allowance)
        # The headings of a workbook are the names of its sheets, those of a mail the names of what is attached.
        titled = markdown and media_type not in (detect.XLSX, detect.ODS, detect.EML, detect.MSG)
        title = _title(str(header["title"]), text, filename, titled)
        return Extracted(text, title, media_type, tuple(cast("list[int]", header["pages"])), markdown)

    def _read(self, content: bytes, media_type: str) -> Answer:
        recognisable = media_type == detect.PDF or media_type.startswith(detect.IMAGE)
        engine = self._find_engine() if recognisable else ""
        ready = engine if isinstance(engine, Engine) else None
        seconds = self._limits.ocr_timeout_seconds
        answer = self._pool.read(Request(content, media_type, self._most_characters, ready, seconds))
        if "characters" in answer.header:
            raise self._too_much(int(str(answer.header["characters"])))
        if answer.header["scanned"]:
            raise Invalid(f"{answer.header['scanned']}; {engine}.")
        return answer

    def _find_engine(self) -> Engine | str:
        checked, engine = self._engine
        if time.monotonic() - checked >= _ENGINE_SECONDS:
            engine = find_engine(self._limits.ocr_languages)
            self._engine = (time.monotonic(), engine)
        return engine

    def _too_much(self, characters: int) -> Invalid:
        return Invalid(
            f"The file holds {characters / 1e6:.1f} million characters of text and at most "
            f"{self._most_characters / 1e6:.1f} million are taken: split it, or raise "
            "GROUNDWORK_INGEST__EXTRACT_TEXT_MB."
        )


def extract(content: bytes, filename: str, limits: IngestSettings) -> Extracted:
    """`Extractor.extract` for a single file; a batch should share one `Extractor`."""
    with Extractor(limits, workers=1) as extractor:
        return extractor.extract(content, filename)


def _extract_text(content: bytes, filename: str, media_type: str) -> Extracted:
    text = decode(content)
    markdown = media_type == detect.MARKDOWN
    title = _title("", text, filename, markdown)
    return Extracted(text, title, media_type, (), markdown, code=detect.is_code(media_type))


def _title(given: str, text: str, filename: str, markdown: bool) -> str:
    title = " ".join(clean(given).split())
    if _NO_TITLE.fullmatch(title):
        title = (first_heading(text) or "") if markdown else ""
    return (title or _readable(filename))[:_LONGEST_TITLE]


def _readable(filename: str) -> str:
    stem = PurePath(filename.replace("\\", "/")).stem
    words = " ".join(re.sub(r"[_+]+|(?<=\w)-(?=\w)", " ", clean(stem)).split())
    return words[:1].upper() + words[1:] if words else "Untitled"
