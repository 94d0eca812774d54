"""A thousand real files of every format, broken ones among them, taken into an empty Groundwork by one command.

Every good file must be found by its own words, and every bad one must have a reason; speed is compared with what the
embedding model alone can do. The files come from the document sets beside the project.
"""

import argparse
import asyncio
import csv
import io
import json
import os
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from drills import Result
from drills._processes import groundwork
from groundwork.assembly import Platform, open_platform
from groundwork.retrieve.request import Request
from groundwork.settings import load_settings

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_RAW_PASSAGES = 1500
_FEW_WORDS = 3
_LONGEST_QUERY = 200
_PASSAGES = """
SELECT d.id, d.uri, d.media_type, v.title, c.heading_path, c.text FROM chunks c
JOIN documents d ON d.id = c.document_id JOIN document_versions v ON v.id = c.version_id ORDER BY d.id, c.ordinal
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of this drill."""
    parser.add_argument("--files", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--data", type=Path, default=_DATA, help="the document sets (default: beside the project)")
    parser.add_argument("--sample", type=int, default=100, help="how many documents to look for (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--no-scans", action="store_true", help="leave out what needs text recognition")


def run(options: argparse.Namespace) -> Result:
    """Builds the folder, takes it in, and looks."""
    data = Path(os.environ.get("DRILL_FROM", ".")) / options.data
    if not (data / "files").is_dir():
        return Result({}, [f"There are no document sets in {data}."])
    with tempfile.TemporaryDirectory(prefix="groundwork-drill-") as place:
        folder, data_dir = Path(place) / "files", Path(place) / "data"
        count = _build(folder, data, options.files, options.no_scans)
        began = time.monotonic()
        report, peak = groundwork(data_dir, "ingest", str(folder))
        wall = time.monotonic() - began
        figures, problems = asyncio.run(_look(data_dir, report, options))
    problems += _unaccounted(report, count)
    return Result({**_taken(report, count, wall, peak), **figures, "failures": _failures(report)}, problems)


def _build(folder: Path, data: Path, wanted: int, no_scans: bool) -> int:
    """Fills `folder`; how many files it holds."""
    folder.mkdir()
    number = 0
    for path in sorted([*(data / "broken").iterdir(), *(data / "files").rglob("*")]):
        skipped = "reference" in path.parts or path.name in ("LICENSE", "README.md") or not path.is_file()
        if skipped or (no_scans and ("ocr" in path.parts or path.suffix in (".png", ".jpg"))):
            continue
        shutil.copyfile(path, folder / f"{number:04}-{path.name}")
        number += 1
    for name, content in _written(data):
        if number >= wanted:
            break
        (folder / f"{number:04}-{name}").write_bytes(content)
        number += 1
    return number


def _written(data: Path) -> Iterator[tuple[str, bytes]]:
    """Files in many formats made of real texts: sections of long ones first, then abstracts by turns."""
    for path in sorted((data / "spans" / "corpora").glob("*.md")):
        text = path.read_text()
        parts = [text[at : at + 20_000] for at in range(0, len(text), 20_000)]
        yield from ((f"{path.stem}-{number}.md", part.encode()) for number, part in enumerate(parts))
    writers: list[Callable[[dict[str, str]], tuple[str, bytes]]] = [
        _text,
        _markdown,
        _html,
        _json,
        _mail,
        _latin1,
        _csv,
    ]
    for name in ("scifact", "cranfield"):
        for number, line in enumerate((data / name / "corpus.jsonl").open()):
            record = json.loads(line)
            if record["text"].strip():
                suffix, content = writers[number % len(writers)](record)
                yield f"{name}-{record['_id']}{suffix}", content


def _text(record: dict[str, str]) -> tuple[str, bytes]:
    return ".txt", f"{record['title']}\n\n{record['text']}\n".encode()


def _markdown(record: dict[str, str]) -> tuple[str, bytes]:
    return ".md", f"# {record['title']}\n\n{record['text']}\n".encode()


def _html(record: dict[str, str]) -> tuple[str, bytes]:
    words = record["text"].replace("&", "&amp;").replace("<", "&lt;")
    return ".html", f"<html><body><nav>Home</nav><main><p>{words}</p></main></body></html>".encode()


def _json(record: dict[str, str]) -> tuple[str, bytes]:
    return ".json", json.dumps({"title": record["title"], "text": record["text"]}).encode()


def _mail(record: dict[str, str]) -> tuple[str, bytes]:
    message = EmailMessage()
    message["From"], message["Subject"] = "library@example.org", " ".join(record["title"].split())
    message.set_content("The abstract is attached.")
    message.add_attachment(record["text"].encode(), maintype="text", subtype="plain", filename="abstract.txt")
    return ".eml", message.as_bytes()


def _latin1(record: dict[str, str]) -> tuple[str, bytes]:
    return ".txt", f"Résumé — {record['title']}\n\n{record['text']}\n".encode("cp1252", "replace")


def _csv(record: dict[str, str]) -> tuple[str, bytes]:
    out = io.StringIO()
    csv.writer(out).writerows([["id", "sentence"], *enumerate(re.split(r"(?<=[.?!])\s+", record["text"]), start=1)])
    return ".csv", out.getvalue().encode()


def _taken(report: dict[str, Any], count: int, wall: float, peak: float) -> dict[str, Any]:
    return {
        "files": count,
        "ready": report["added"] + report["updated"],
        "failed": report["failed"],
        "chunks": report["chunks"],
        "command_seconds": round(wall, 1),
        "sync_seconds": report["seconds"],
        "peak_memory_mib": round(peak),
    }


async def _look(
    data_dir: Path, report: dict[str, Any], options: argparse.Namespace
) -> tuple[dict[str, Any], list[str]]:
    settings = load_settings().model_copy(update={"data_dir": data_dir, "database_url": None})
    async with open_platform(settings) as platform:
        await platform.ready()
        rows = await platform.database.fetch(_PASSAGES)
        rates = _rates(platform, rows, report["seconds"])
        documents: dict[Any, list[Any]] = {}
        for row in rows:
            documents.setdefault(row[0], []).append(row)
        chosen = random.Random(options.seed).sample(
            sorted(documents, key=lambda each: documents[each][0][1]), min(options.sample, len(documents))
        )
        lost = [missing for each in chosen if (missing := await _lost(platform, documents[each]))]
    kinds = Counter(chunks[0][2] for chunks in documents.values())
    figures = {**rates, "looked_for": len(chosen), "found": len(chosen) - len(lost), "media_types": dict(kinds)}
    return figures, lost


def _rates(platform: Platform, rows: list[Any], seconds: float) -> dict[str, Any]:
    """Tokens a second of the whole and of the model alone, special tokens included in both."""
    embedder = platform.embedder
    passages = list({"\n".join([row[3], *(each for each in row[4] if each != row[3]), row[5]]) for row in rows})
    tokens = sum(min(embedder.count_tokens(passage) + 2, embedder.max_tokens) for passage in passages)
    raw = float(cast(Any, embedder).raw_tokens_per_second(passages[:_RAW_PASSAGES]))
    return {
        "embedded_tokens": tokens,
        "ingest_tokens_per_second": round(tokens / seconds),
        "raw_tokens_per_second": round(raw),
        "ingest_ratio": round(tokens / seconds / raw, 3),
    }


async def _lost(platform: Platform, chunks: list[Any]) -> str:
    """Why a document is not found by its own words; empty when it is."""
    longest = max(chunks, key=lambda row: len(row[5]))
    sentence = max(re.split(r"(?<=[.?!])\s+|\n+", longest[5]), key=len)
    # A row of figures tells no document from another; all that stands around it does.
    query = (sentence if len(set(re.findall(r"\w+", sentence))) > _FEW_WORDS else longest[5])[:_LONGEST_QUERY]
    if not re.search(r"\w", query):
        return ""
    found = await platform.search(Request(text=query, limit=10))
    # The sets hold some texts twice: either of them is right.
    if any(each.chunk.document_id == longest[0] or query in each.chunk.text for each in found.passages):
        return ""
    return f"{longest[1].rpartition('/')[2]} is not among the first ten for {query!r}"


def _failures(report: dict[str, Any]) -> dict[str, str]:
    return {each["uri"].rpartition("/")[2]: each["error"] for each in report["failures"]}


def _unaccounted(report: dict[str, Any], count: int) -> list[str]:
    problems = [f"{each['uri']} failed without a reason" for each in report["failures"] if not each["error"].strip()]
    known = report["added"] + report["updated"] + report["unchanged"] + report["failed"]
    if known != report["found"]:
        problems.append(f"{report['found']} files were offered and {known} accounted for")
    if count - report["found"] > count // 50:
        problems.append(f"{count} files are there and only {report['found']} were offered")
    return problems
