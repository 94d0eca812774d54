"""Which files of a source are documents, told by their names alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import PurePosixPath

from groundwork.ingest.ocr import is_installed

SUFFIXES = frozenset(
    # documents
    ".pdf .docx .pptx .xlsx .xlsm .odt .ods .odp .rtf .epub .eml .msg .html .htm .xhtml "
    # text and data
    ".md .markdown .mdown .mkd .mdx .txt .text .rst .adoc .asciidoc .org .tex .log .csv .tsv .tab .json .jsonl .ndjson "
    ".xml .yaml .yml "
    # source code
    ".py .js .mjs .ts .tsx .jsx .java .kt .scala .c .h .cc .cpp .hpp .cs .go .rs .rb .php .swift .sh .sql .lua .r".split()
)
"""Of files that an extractor reads, in lower case."""
_PICTURES = frozenset(".png .jpg .jpeg .tif .tiff".split())
"""Of pictures, which are documents where their text can be recognised."""
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})


def is_readable(name: str, pictures: bool = False) -> bool:
    """Whether a file of that name is worth reading: a known suffix, or none at all, as in `README`.

    With `pictures`, an image file too, where its text can be recognised; a repository's are mere decoration.
    """
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in SUFFIXES or "." not in name or (pictures and suffix in _PICTURES and is_installed())


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is nobody's document: hidden, a lock file, a folder of programs."""
    return name.startswith((".", "~$")) or name in _SKIPPED_FOLDERS


def clean_name(name: str) -> str:
    """`name` as it can be stored: a file system may hold names that are not text."""
    return name.encode("utf-8", "replace").decode().replace("\0", "?")


@dataclass(frozen=True)
class Selection:
    """Paths chosen by patterns, written as in a `.gitignore` file (without its `!`).

    A pattern without a slash holds for a name anywhere (`*.md`, `drafts`); one with a slash begins at the root
    (`/notes`, `docs/**/*.pdf`); one that ends in a slash holds for folders only; a folder stands for all it holds.
    """

    include: Sequence[str] = ()
    """What is taken; nothing here takes everything."""
    exclude: Sequence[str] = ()
    """What is left out again."""

    def admits(self, path: str) -> bool:
        """Whether the file at `path`, relative to the root and with `/` between its parts, is chosen."""
        if self.include and not any(_matches(pattern, path) for pattern in self.include):
            return False
        return not any(_matches(pattern, path) for pattern in self.exclude)

    def enters(self, folder: str) -> bool:
        """Whether anything below `folder` can be chosen."""
        return not any(_matches(pattern, f"{folder}/*") for pattern in self.exclude)


def _matches(pattern: str, path: str) -> bool:
    wanted, folders_only = _parsed(pattern)
    parts = path.split("/")
    lengths = range(1, len(parts) if folders_only else len(parts) + 1)
    return any(_fits(wanted, parts[:length]) for length in lengths)


@lru_cache(1024)
def _parsed(pattern: str) -> tuple[tuple[str, ...], bool]:
    body = pattern.rstrip("/")
    parts = [part for part in body.split("/") if part]
    if "/" not in body:
        parts = ["**", *parts]
    if parts and parts[-1] == "**":
        parts.append("*")
    return tuple(parts), pattern.endswith("/")


def _fits(wanted: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether all parts fit, where `**` stands for any number of them. Takes time in proportion to both, never more."""
    at = here = 0
    resume: tuple[int, int] | None = None
    while here < len(parts):
        if at < len(wanted) and wanted[at] == "**":
            resume = (at, here)
            at += 1
        elif at < len(wanted) and fnmatchcase(parts[here], wanted[at]):
            at, here = at + 1, here + 1
        elif resume is not None:
            resume = (resume[0], resume[1] + 1)
            at, here = resume[0] + 1, resume[1]
        else:
            return False
    return all(part == "**" for part in wanted[at:])
