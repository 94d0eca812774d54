"""Text recognition (OCR) with the Tesseract program, where it is installed: found when needed, run per page.

The process that takes documents in finds the program (`find_engine`); the worker process runs it (`recognise`).
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from groundwork.ingest.turn import upside_down

_LIST_SECONDS = 10
_PAGE_SECONDS = 120
"""A page that takes longer is given up; the others go on."""
_ORIENTATION = "osd"
_SURE = 60
"""Mean confidence in per cent below which a page may stand on its head; a page that is read well has over 80."""
_LEAST_SURE = 45
"""Mean confidence below which a page, or half of that a line, is noise."""
_PAGE, _BLOCK, _PARAGRAPH, _LINE, _CONFIDENCE, _WORD = 1, 2, 3, 4, 10, 11
"""Columns of Tesseract's tab-separated output."""
_BROKEN = re.compile(r"(?<=[^\W\d_])[-\u2010\u00ac]\n(?=[^\W\d_])")
INSTALL = "Debian and Ubuntu: apt-get install tesseract-ocr; macOS: brew install tesseract"


@dataclass(frozen=True)
class Engine:
    """Tesseract, ready to run."""

    command: str
    languages: str
    """Codes of installed languages, joined by a plus sign."""
    orientation: bool
    """Whether it can tell how a page is turned."""


def is_installed() -> bool:
    """Whether the program is there, so that pictures can be documents."""
    return shutil.which("tesseract") is not None


def find_engine(wanted: str) -> Engine | str:
    """Tesseract with those of the `wanted` languages (`eng+deu`) that are installed, or why there is none: part of a
    sentence that follows a semicolon and says what to do."""
    languages = [code for code in re.split(r"[\s,+]+", wanted) if code]
    if not languages:
        return "recognition is off: name languages in GROUNDWORK_INGEST__OCR_LANGUAGES to read it"
    command = shutil.which("tesseract")
    if command is None:
        return f"Tesseract, which can recognise it (OCR), is not installed: install it ({INSTALL}) and try again"
    installed = _installed_languages(command)
    known = [code for code in languages if code in installed]
    if not known:
        there = ", ".join(sorted(installed - {_ORIENTATION})) or "none"
        return (
            f"Tesseract (OCR) lacks the languages of GROUNDWORK_INGEST__OCR_LANGUAGES ({wanted}; installed: {there}): "
            f"install them (Debian and Ubuntu: apt-get install tesseract-ocr-{languages[0]}) or change the setting"
        )
    return Engine(command, "+".join(known), _ORIENTATION in installed)


def recognise(engine: Engine, image: bytes) -> list[str]:
    """The text of each page of a PNG, JPEG, TIFF or GIF, line by line; empty where nothing was recognised.

    Raises ValueError when Tesseract cannot read the picture.
    """
    pages = _run(engine, image)
    if len(pages) == 1 and pages[0].confidence < _SURE:
        # Its own detection finds pages on their side, and misses short ones that stand on their head.
        turned = upside_down(image)
        again = _run(engine, turned) if turned is not None else []
        pages = max(pages, again, key=lambda pages: pages[0].confidence if pages else 0)
    return [page.text if page.confidence >= _LEAST_SURE else "" for page in pages]


@dataclass(frozen=True)
class _Page:
    text: str
    confidence: float


def _installed_languages(command: str) -> set[str]:
    try:
        listed = subprocess.run([command, "--list-langs"], capture_output=True, timeout=_LIST_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    # The first line is a heading, on either stream by version.
    lines = (listed.stdout + b"\n" + listed.stderr).decode("utf-8", "replace").split("\n")
    return {line.strip() for line in lines if line.strip() and " " not in line.strip()}


def _run(engine: Engine, image: bytes) -> list[_Page]:
    layout = "1" if engine.orientation else "3"
    done = subprocess.run(
        [engine.command, "stdin", "stdout", "-l", engine.languages, "--psm", layout, "tsv"],
        input=image,
        capture_output=True,
        timeout=_PAGE_SECONDS,
        # More threads than one make it slower, and other documents want the cores as well.
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        check=False,
    )
    if done.returncode:
        said = [line.strip() for line in done.stderr.decode("utf-8", "replace").split("\n") if line.strip()]
        raise ValueError(said[0] if said else f"exit status {done.returncode}")
    rows = [line.split("\t") for line in done.stdout.decode("utf-8", "replace").split("\n")[1:]]
    rows = [row for row in rows if len(row) > _WORD]
    return [_page(list(page)) for _, page in groupby(rows, key=lambda row: row[_PAGE])]


def _page(rows: Sequence[Sequence[str]]) -> _Page:
    words = [row for row in rows if float(row[_CONFIDENCE]) >= 0 and row[_WORD].strip()]
    paragraphs = [_lines(list(each)) for _, each in groupby(words, key=lambda row: (row[_BLOCK], row[_PARAGRAPH]))]
    text = "\n\n".join(filter(None, paragraphs))
    # As the reader of PDFs marks a hyphen at a line's end.
    return _Page(_BROKEN.sub("\x02\n", text), _confidence(words))


def _lines(words: Sequence[Sequence[str]]) -> str:
    lines = [list(line) for _, line in groupby(words, key=lambda row: row[_LINE])]
    return "\n".join(
        " ".join(row[_WORD].strip() for row in line) for line in lines if _confidence(line) >= _LEAST_SURE / 2
    )


def _confidence(words: Sequence[Sequence[str]]) -> float:
    """The mean over letters: specks are read as many short words."""
    letters = sum(len(row[_WORD]) for row in words)
    return sum(float(row[_CONFIDENCE]) * len(row[_WORD]) for row in words) / letters if letters else 0.0
