"""What the text of a PDF page needs before a person can read it, and mending PDFs that lost their end.

A page's text comes as lines the way they were set. Wrapped lines are joined again, so that a sentence is one piece
for the splitter; words of right-to-left lines are put back into reading order.
"""

import re
import unicodedata
from collections.abc import Sequence

_LINE_SHARE = 0.7
"""A line at least this long, as a share of the page's long lines, was broken because it was full."""
_SHORTEST_FULL = 40
_SHORTEST_FULL_IDEOGRAPHIC = 20
_ITEM = re.compile(r"(?:[•◦▪‣●○■□–—*-]|\(?\w{1,3}[.)]|\d+(?:\.\d+)+\.?)\s")
_LEADERS = re.compile(r"(?:\.\s?){5}")
_SENTENCE_END = re.compile(r"[.!?:;。！？]['\"”’)\]]*$")
_IDEOGRAPHIC = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LTR = re.compile("[A-Za-z0-9\u00c0-\u024f]")
_STOP = re.compile("[.!?\u061f]$|^[.!?\u061f]")
_RTL_WORD_END = re.compile("^([.,:;!?\u060c\u061b\u061f]+)(.*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc].*)$")
# Letters in the shape they take beside others, by which no one searches.
_LIGATURE = re.compile("[\ufb00-\ufb06\ufb50-\ufdfb\ufe70-\ufefc]")
_WORD = re.compile(r"[^\W_]")
# The ligature of lam and alef comes apart the wrong way round; after the article that can be told.
_LAM_ALEF = re.compile("^([\u0648\u0641\u0628\u0643]?)\u0627([\u0622\u0623\u0625\u0627])\u0644")
# How the library marks a hyphen at a line's end, which may be the word's own.
_BROKEN_WORD = re.compile(r"([^\W\d_]*)\x02\s*([^\W\d_]*)")
_COMPOUNDING = frozenset({"self", "well", "half"})
_OBJECT = re.compile(rb"(?:^|[\r\n])\s*(\d{1,9})\s+(\d{1,5})\s+obj\b")
_REFERENCE = re.compile(rb"(?<!\d)(\d{1,9})\s+0\s+R\b")
_STREAM = re.compile(rb"\bstream\r?\n.*?endstream", re.S)
_TRAILER = re.compile(rb"[\r\n](?:trailer|startxref)\b")
_CATALOG = re.compile(rb"/Type\s*/Catalog\b")


def pages_text(pages: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The text of a document and the offset in it, in characters, at which each page starts.

    A page without text starts where the text before it ends.
    """
    texts = [page_text(page) for page in pages]
    compounds = set(re.findall(r"[^\W\d_]+-[^\W\d_]+", " ".join(texts).lower()))
    return joined_pages([_BROKEN_WORD.sub(lambda match: _rejoin(match, compounds), text) for text in texts])


def joined_pages(texts: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The texts of pages or slides as one, parted by an empty line, and the offset of each in it."""
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for text in texts:
        if text and parts:
            parts.append("\n\n")
            length += 2
        starts.append(length)
        if text:
            parts.append(text)
            length += len(text)
    return "".join(parts), tuple(starts)


def page_text(page: str) -> str:
    """One page's lines with wrapped ones joined, stripped."""
    # A line without one letter or digit is a rule, or a font that does not say which letters its shapes are.
    page = _LIGATURE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), page.replace("\r\n", "\n"))
    lines = [line for line in page.replace("\u00ad", "").split("\n") if not line.strip() or _WORD.search(line)]
    lines = _in_reading_order(lines)
    full = _full_length(lines)
    joined: list[str] = []
    previous = ""
    for line in lines:
        if joined and _continues(previous, line, full):
            joined[-1] = _join(joined[-1], line)
        else:
            joined.append(line.strip())
        previous = line
    return re.sub(r"\n{3,}", "\n\n", "\n".join(joined)).strip()


def mend(content: bytes) -> bytes | None:
    """A PDF whose last bytes were cut off, its table of objects made anew; None where more than that is missing.

    A file that still has its trailer is damaged in another way, and one that refers to objects it lacks has lost text
    or fonts: both would come out as garbage.
    """
    start = max(content.find(b"%PDF-"), 0)
    body = content[start:]
    if _TRAILER.search(body) or body.count(b"/ObjStm"):
        return None
    found = {int(match[1]): match.start(1) for match in _OBJECT.finditer(body)}
    roots = [number for number, at in found.items() if _CATALOG.search(body[at : at + 2000].split(b"endobj")[0])]
    if not roots or not found.keys() >= {int(number) for number in _REFERENCE.findall(_STREAM.sub(b"", body))}:
        return None
    size = max(found) + 1
    if size > 20 * len(found) + 1000:
        return None
    rows = [
        b"%010d 00000 n \n" % found[number] if number in found else b"0000000000 65535 f \n" for number in range(size)
    ]
    table = b"xref\n0 %d\n" % size + b"".join(rows)
    trailer = b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, roots[-1], len(body) + 1)
    return body + b"\n" + table + trailer


def _rejoin(match: re.Match[str], compounds: set[str]) -> str:
    """A word parted at a line's end; it keeps a hyphen that the document also writes inside a line."""
    compound = f"{match[1]}-{match[2]}"
    kept = compound.lower() in compounds or match[1].lower() in _COMPOUNDING
    return compound if kept else match[1] + match[2]


def _full_length(lines: Sequence[str]) -> float:
    lengths = sorted(len(line.strip()) for line in lines if line.strip())
    if not lengths:
        return 0
    return _LINE_SHARE * lengths[int(len(lengths) * 0.85)]


def _continues(line: str, following: str, full: float) -> bool:
    text, after = line.strip(), following.strip()
    if not text or not after or _ITEM.match(after) or _LEADERS.search(text) or _LEADERS.search(after):
        return False
    shortest = _SHORTEST_FULL_IDEOGRAPHIC if _IDEOGRAPHIC.search(text) else _SHORTEST_FULL
    if len(text) < max(full, shortest):
        return False
    ended = _SENTENCE_END.search(text) is not None
    return not (ended and len(text) < full * 1.25 and not after[0].islower())


def _join(text: str, line: str) -> str:
    if _IDEOGRAPHIC.match(line.strip()) and _IDEOGRAPHIC.match(text[-1]) and not line.startswith(" "):
        return text + line.strip()
    return f"{text} {line.strip()}"


def _in_reading_order(lines: Sequence[str]) -> list[str]:
    """Lines of right-to-left script come with their words in the order of the eye moving left to right."""
    turned = [line.split() for line in lines if _is_rtl(line)]
    # A sentence that ends at a line's end ends at the far left, which is the first word in the order of the eye.
    in_order = sum(_STOP.search(words[-1]) is not None for words in turned if len(words) > 1)
    visual = sum(_STOP.search(words[0]) is not None for words in turned if len(words) > 1)
    if in_order > visual:
        return list(lines)
    return [_turn(line) if _is_rtl(line) else line for line in lines]


def _is_rtl(line: str) -> bool:
    return len(_RTL.findall(line)) > len(_LTR.findall(line))


def _turn(line: str) -> str:
    ordered: list[str] = []
    run: list[str] = []
    for word in reversed(line.split()):
        if _LTR.search(word) and not _RTL.search(word):
            run.insert(0, word)
            continue
        ordered += run
        run = []
        word = _RTL_WORD_END.sub(r"\2\1", word)
        ordered.append(_LAM_ALEF.sub("\\1\u0627\u0644\\2", word))
    return " ".join(ordered + run)
