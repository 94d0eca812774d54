"""Bytes to text, and text to what PostgreSQL stores.

Text files say too little about their encoding to be trusted and too much to be ignored: a byte order mark first, then
what the file declares, then UTF-8, then what the bytes look like (see `legacy`). Bytes that fit none of it are read as
Windows-1252, each by itself, so that a text in Latin-1 comes out right and a UTF-8 text with one bad byte loses nothing
else.
"""

import codecs
import re

from groundwork.errors import Invalid
from groundwork.ingest.legacy import is_iso_2022_jp, legacy_encoding

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)|^<\?xml[^>]{0,200}?encoding=["']([\w.:-]+)""", re.I
)
_CONTROL = re.compile("[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_CONTROL = 0.05
"""Share of control and replacement characters above which a file is not text."""
_MOST_BAD = 0.01
"""Share of characters an encoding that was guessed may lack; more, and the guess is wrong."""


def decode(content: bytes, *, declared: bool = False) -> str:
    """The text of a text file, as `clean` leaves it.

    `declared` says that the format may name its encoding itself (HTML, XML).
    Raises Invalid when the bytes are not text.
    """
    text = clean(_decode(content, declared))
    if len(_CONTROL.findall(text)) > _MOST_CONTROL * len(text):
        raise Invalid("The file is not text, and no other format is recognised in it: check that it is not damaged.")
    return text


def clean(text: str) -> str:
    """`text` as PostgreSQL takes it: no NUL, no lone surrogate; lines end in a line feed alone."""
    text = text.replace("\r\n", "\n")
    if "\0" in text:
        text = text.replace("\0", " ")
    return _SURROGATE.sub("\ufffd", text)


def _decode(content: bytes, declared: bool) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, errors="replace")
    for encoding in filter(None, (_declared_encoding(content) if declared else None, _wide_encoding(content))):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    try:
        return content.decode("iso2022_jp" if is_iso_2022_jp(content) else "utf-8")
    except UnicodeDecodeError:
        encoding = legacy_encoding(content)
    if encoding is not None:
        text = content.decode(encoding, errors="replace")
        if text.count("\ufffd") <= _MOST_BAD * len(text):
            return text
    return content.decode("utf-8", errors="groundwork.windows1252")


def _declared_encoding(content: bytes) -> str | None:
    match = _DECLARED.search(content[:4096])
    if match is None:
        return None
    name = (match[1] or match[2]).decode("ascii")
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    # What calls itself Latin-1 or ASCII on the web is Windows-1252 (WHATWG Encoding Standard, section 4.2).
    return None if found in {"iso8859-1", "ascii", "cp1252", "utf-8"} else found


def _wide_encoding(content: bytes) -> str | None:
    """UTF-16 without a byte order mark shows as a zero in nearly every second byte."""
    sample = content[:4096]
    if len(sample) < 4 or len(content) % 2:
        return None
    half = len(sample) // 2
    if sample[1::2].count(0) > 0.8 * half and sample[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if sample[::2].count(0) > 0.8 * half and sample[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return None


def _as_windows1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    bad = error.object[error.start : error.end]
    return "".join(_WINDOWS1252[byte] for byte in bad), error.end


_WINDOWS1252 = [bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(256)]
codecs.register_error("groundwork.windows1252", _as_windows1252)
