"""Pictures of text to text: scanned pages of PDFs and image files. Runs in a worker process, calls Tesseract."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from groundwork.errors import Invalid
from groundwork.ingest.ocr import Engine, recognise
from groundwork.ingest.turn import as_file, page_picture


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Recognition:
    """What recognises text, if anything does, and whom to tell that it begins, because it takes its time."""

    engine: Engine | None = None
    begins: Callable[[], None] = _nothing


NO_RECOGNITION = Recognition()


def image_pages(content: bytes, name: str, engine: Engine) -> list[str]:
    """The text of each page of an image file. Raises Invalid when it cannot be read or holds no text."""
    try:
        pages = recognise(engine, content)
    except subprocess.TimeoutExpired:
        raise Invalid(f"Recognising the text of the {name} took too long: make it smaller, or split it.") from None
    except ValueError as error:
        raise Invalid(
            f"The {name} cannot be read: it is damaged or too large; export or scan it again. (Tesseract says: {error})"
        ) from error
    if not any(pages):
        raise Invalid(f"No text was recognised in the {name}: {_advice(engine)}")
    return pages


def scanned_pages(pdf: bytes, pages: Sequence[int], engine: Engine) -> Mapping[int, str]:
    """The text of those pages of a PDF, counted from 0; empty where none was recognised."""
    with as_file(pdf) as path:
        return {page: _scanned_page(path, page, engine) for page in pages}


def nothing_recognised(pages: str, engine: Engine) -> Invalid:
    """What a person is told when all `pages`, said as `3 pages`, gave nothing."""
    return Invalid(f"The PDF holds no text of its own, and none was recognised on its {pages}: {_advice(engine)}")


def _scanned_page(path: str, page: int, engine: Engine) -> str:
    try:
        return "".join(recognise(engine, page_picture(path, page)))
    except (ValueError, RuntimeError, subprocess.TimeoutExpired):
        # One page that cannot be drawn or read leaves the others readable.
        return ""


def _advice(engine: Engine) -> str:
    return (
        "scan it again sharper or larger, or name its language in GROUNDWORK_INGEST__OCR_LANGUAGES (now: "
        f"{engine.languages})."
    )
