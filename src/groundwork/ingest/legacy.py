"""Which encoding a text is in that is not UTF-8 and does not say: told by how its bytes beyond ASCII lie, then by which
encoding makes words of them.

In Latin scripts such bytes stand alone, and what they are decides little: there the language decides, and Western
European is the rule. In other scripts they make whole words, and each of their encodings makes nonsense of the others.
"""

import re

from groundwork.ingest.language import language_of

_SAMPLE_BYTES = 64 << 10
_TAG = re.compile(rb"<[^<>]{0,2000}>")
_RUN = re.compile(rb"[\x80-\xff]{2,}")
_HIGH = re.compile(rb"[\x80-\xff]")
_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_C1 = re.compile(rb"[\x80-\x9f]")
_FEWEST = 6
"""Bytes beyond ASCII that say anything about a script."""
_FEWEST_FOR_LANGUAGE = 60
"""Bytes of a text whose language can be told at all."""
_OTHER_SCRIPT = 0.5
"""Share of bytes beyond ASCII that stand side by side from which on a text is not in Latin script: there it is 0.2 at
most, and at least 0.7 elsewhere."""
_OTHER_SCRIPTS = [
    "cp1251", "koi8_r", "cp866", "iso8859_5", "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1253", "cp1255",
    "cp1256", "cp874",
]  # fmt: skip
_CENTRAL_EUROPEAN = frozenset({"pl", "cs", "sk", "hu", "hr", "sl", "ro"})
_ISO_2022_JP = re.compile(rb"\x1b\$[@B].{2,}?\x1b\([BJ]", re.S)


def legacy_encoding(content: bytes) -> str | None:
    """The encoding of a text that is not valid UTF-8; None when it is best read as UTF-8 with bad bytes, Windows-1252."""
    sample = _TAG.sub(b" ", content[:_SAMPLE_BYTES])
    high = len(_HIGH.findall(sample))
    if not high or sum(map(len, _UTF8.findall(sample))) > 0.75 * high:
        return None
    if high >= _FEWEST and sum(map(len, _RUN.findall(sample))) > _OTHER_SCRIPT * high:
        return _other_script(sample)
    return _latin(sample) if len(sample) >= _FEWEST_FOR_LANGUAGE else None


def is_iso_2022_jp(content: bytes) -> bool:
    """Whether `content` shifts to Japanese by escape sequences, all of it in ASCII."""
    return b"\x1b$" in content and _ISO_2022_JP.search(content) is not None


def _other_script(sample: bytes) -> str | None:
    # Imported late: it is heavy, and hardly any text needs it.
    from charset_normalizer import from_bytes

    # A character cut in half by the end of the sample would rule its encoding out.
    found = from_bytes(sample[: sample.rfind(b"\n") + 1] or sample, cp_isolation=_OTHER_SCRIPTS).best()
    return None if found is None else found.encoding


def _latin(sample: bytes) -> str | None:
    if language_of(sample.decode("cp1254", "replace")) == "tr":
        return "cp1254"
    language = language_of(sample.decode("cp1250", "replace"))
    if language not in _CENTRAL_EUROPEAN:
        return None
    # Windows puts letters that all of them need where ISO 8859-2 has control characters; Polish, its most common one higher.
    is_windows = _C1.search(sample) is not None or (language == "pl" and b"\xb9" in sample)
    return "cp1250" if is_windows else "iso8859_2"
