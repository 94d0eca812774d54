"""Judged questions in the BEIR layout: `corpus.jsonl`, `queries.jsonl`, `qrels/*.tsv` (Thakur et al., 2021)."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.errors import Invalid

_PREFERRED = ("test.tsv", "dev.tsv", "train.tsv")


@dataclass(frozen=True)
class Document:
    """A document of the corpus."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Query:
    """A question with its judgments: relevant document ids with their grades, and strings that answer it."""

    id: str
    text: str
    relevant: dict[str, int]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """A corpus with its judged questions; questions without a judgment are left out."""

    name: str
    documents: list[Document]
    queries: list[Query]


def load(folder: Path, qrels: str | None = None) -> Dataset:
    """Reads a BEIR folder; `qrels` names the judgment file, by default `test.tsv`, else `dev`, `train`, or the first.

    Raises Invalid naming the file that is missing or the line that cannot be read.
    """
    judgments = _judgments(_qrels_file(folder, qrels))
    documents = [
        Document(str(row["_id"]), str(row.get("title") or ""), str(row.get("text") or ""))
        for row in _lines(folder / "corpus.jsonl")
    ]
    queries = [
        Query(str(row["_id"]), str(row["text"]), judgments[str(row["_id"])], _answers(row))
        for row in _lines(folder / "queries.jsonl")
        if str(row["_id"]) in judgments
    ]
    return Dataset(folder.resolve().name, documents, queries)


def _qrels_file(folder: Path, name: str | None) -> Path:
    if name is not None:
        return folder / "qrels" / name
    files = sorted((folder / "qrels").glob("*.tsv"))
    if not files:
        raise Invalid(f"{folder} is not a BEIR folder: it has no qrels/*.tsv (and corpus.jsonl, queries.jsonl).")
    return next((file for wanted in _PREFERRED for file in files if file.name == wanted), files[0])


def _judgments(file: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle, delimiter="\t"):
                found.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise Invalid(f"{file} cannot be read as judgments (query-id, corpus-id, score): {error}.") from error
    return found


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as handle:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield _row(file, number, line)
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.") from error


def _row(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        row["_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{file}, line {number}: not a JSON object with an `_id`.") from error
    return row


def _answers(row: dict[str, Any]) -> tuple[str, ...]:
    metadata: dict[str, Any] = row.get("metadata") or {}
    return tuple(str(answer["text"]) for answer in metadata.get("answers") or () if answer.get("text"))
