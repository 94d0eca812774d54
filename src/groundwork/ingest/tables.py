"""Rows of a table as lines that can be read alone: each value with its header.

A chunk of a long table seldom holds the table's first line; a value whose header is elsewhere answers nothing.
"""

import csv
import io
from collections.abc import Iterable, Sequence

Row = Sequence[str]


def csv_text(text: str, delimiter: str | None = None) -> str:
    """Delimited text, one line per row, as `rows_text` writes them; as it is when it is no table after all."""
    if delimiter is None:
        delimiter = _delimiter(text)
    # The default limit of a field is 128 KiB; the file's own size is limit enough.
    csv.field_size_limit(max(len(text), 1 << 17))
    try:
        return rows_text(csv.reader(io.StringIO(text.replace("\r", "\n")), delimiter=delimiter))
    except csv.Error:
        return text


def rows_text(rows: Iterable[Row]) -> str:
    """One line per row, `header: value; header: value`; empty rows part tables from each other.

    A table whose first row does not look like a header keeps its rows as they are, values joined by a bar.
    """
    blocks: list[list[Row]] = [[]]
    for row in rows:
        cells = [" ".join(cell.split()) for cell in row]
        if any(cells):
            blocks[-1].append(cells)
        elif blocks[-1]:
            blocks.append([])
    return "\n\n".join("\n".join(_block_lines(block)) for block in blocks if block)


def _block_lines(block: list[Row]) -> list[str]:
    lines: list[str] = []
    rows = [_pad(row, max(map(len, block))) for row in block]
    used = [column for column in range(len(rows[0])) if any(row[column] for row in rows)]
    rows = [[row[column] for column in used] for row in rows]
    while len(rows) > 1 and len(used) > 1 and sum(map(bool, rows[0])) == 1:
        lines.append(next(filter(None, rows.pop(0))))
    header = rows[0] if len(rows) > 1 and _is_header(rows[0]) else None
    if header is None:
        return lines + [" | ".join(filter(None, row)) for row in rows]
    return lines + [_row_line(header, row) for row in rows[1:]]


def _row_line(header: Row, row: Row) -> str:
    return "; ".join(f"{name}: {value}" if name else value for name, value in zip(header, row, strict=True) if value)


def _is_header(row: Row) -> bool:
    named = [cell for cell in row if cell]
    return len(named) >= max(1, len(row) - 1) and not any(_is_number(cell) for cell in named)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "").replace("-", "").replace("%", "").strip("$€£ ").isdigit()


def _pad(row: Row, width: int) -> list[str]:
    return [*row, *[""] * (width - len(row))]


def _delimiter(text: str) -> str:
    """The delimiter that parts the first lines most evenly; a comma when none does."""
    lines = [line for line in text[:20_000].splitlines() if line.strip()][:20]
    best, score = ",", 0
    for candidate in ",;\t|":
        counts = [line.count(candidate) for line in lines]
        agreeing = sum(count == counts[0] for count in counts) * counts[0] if counts and counts[0] else 0
        if agreeing > score:
            best, score = candidate, agreeing
    return best
