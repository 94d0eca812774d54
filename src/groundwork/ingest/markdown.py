"""Markdown as it is stored: headings, lists and tables kept; what only a renderer needs taken out.

Escapes, image targets and links that lead nowhere outside their page make a passage harder to read and to match.
"""

import re

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_TARGET = r"\(\s*(?:<([^<>\n]*)>|([^()\s]*(?:\([^()\s]*\)[^()\s]*)*))(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
_IMAGE = re.compile(r"!\[((?:[^\[\]\\]|\\.)*)\]" + _TARGET)
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]\\]|\\.|\[[^\[\]]*\])*)\]" + _TARGET)
_LINK_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+\[(?:[^\[\]\\]|\\.)*\]" + _TARGET + r"\s*$")
_ESCAPE = re.compile(r"(?<=\S)\\([!-/:-@\[\]^_`{}~])|\\([!\"$%&'(),./:;<=?@\[\]^_{}~])")
_ABSOLUTE = ("http://", "https://", "mailto:")
_MENU = 5
"""Items from which on a list of nothing but links is a menu, of which the words are kept and the targets dropped."""


def tidy(markdown: str) -> str:
    """`markdown` as it is stored. Code keeps every character."""
    lines = markdown.split("\n")
    menu = _menu_lines(lines)
    out: list[str] = []
    fence = ""
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
            out.append(line)
        elif mark:
            fence = mark[1]
            out.append(line)
        else:
            _append(out, _tidy_line(line, number in menu))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")


def table_rows(line: str) -> list[str] | None:
    """The cells of one line of a Markdown table; None when it is none or only parts header from body."""
    stripped = line.strip()
    if not (stripped.startswith("|") and stripped.endswith("|") and len(stripped) > 1):
        return None
    if not stripped.strip("|-: "):
        return None if "-" in stripped else []
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", stripped[1:-1])]


def _append(out: list[str], line: str) -> None:
    # A line right under a table would belong to it.
    if out and out[-1].startswith("|") and line.strip() and not line.startswith("|"):
        out.append("")
    out.append(line)


def _tidy_line(line: str, in_menu: bool) -> str:
    codes: list[str] = []

    def put_by(match: re.Match[str]) -> str:
        codes.append(match[0])
        return f"\x00{len(codes) - 1}\x00"

    line = _CODE.sub(put_by, line)
    line = _IMAGE.sub(r"\1", line)
    line = _LINK.sub(lambda match: _link(match, in_menu), line)
    line = _ESCAPE.sub(lambda match: match[1] or match[2], line)
    if line.startswith("|"):
        line = re.sub(r" {2,}", " ", re.sub(r"-{4,}", "---", line))
    return re.sub(r"\x00(\d+)\x00", lambda match: codes[int(match[1])], line).rstrip()


def _link(match: re.Match[str], in_menu: bool) -> str:
    text, target = match[1].strip(), match[2] or match[3] or ""
    if in_menu or not target.startswith(_ABSOLUTE):
        return text
    return f"[{text}]({target})" if text else target


def _menu_lines(lines: list[str]) -> set[int]:
    found: set[int] = set()
    run: list[int] = []
    for number, line in enumerate([*lines, "."]):
        if _LINK_ITEM.match(line):
            run.append(number)
        elif line.strip():
            if len(run) >= _MENU:
                found.update(run)
            run = []
    return found
