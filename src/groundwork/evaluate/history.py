"""Saved reports: each evaluation is compared with the last one of the same set and mode, reranked or not like it."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

MEASURES = (
    "ndcg@10",
    "recall@10",
    "recall@100",
    "mrr@10",
    "answer_hit@1",
    "answer_hit@3",
    "search_p50_ms",
    "search_p95_ms",
)


def compare_and_save(folder: Path, report: dict[str, Any], at: datetime) -> dict[str, Any]:
    """`report` with its `change` against the last saved one, which it then replaces.

    One whose reranker failed for some questions is like neither kind: it is compared with nothing, and not kept.
    """
    if report.get("not_reranked"):
        return {**report, "at": at.isoformat(), "compared_to": None, "change": {}}
    file = _file(folder, f"{report['dataset']}-{report['mode']}" + ("-reranked" if report.get("reranker") else ""))
    before: dict[str, Any] = _read(file)
    change = {key: round(report[key] - before[key], 4) for key in MEASURES if key in report and key in before}
    compared = {**report, "at": at.isoformat(), "compared_to": before.get("at"), "change": change}
    _write(file, compared)
    return compared


def save(folder: Path, name: str, report: dict[str, Any]) -> None:
    """Keeps a report under a name, in place of the one before it."""
    _write(_file(folder, name), report)


def _file(folder: Path, name: str) -> Path:
    return folder / (re.sub(r"[^\w.-]", "_", name) + ".json")


def _write(file: Path, report: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(report, indent=2))
    draft.replace(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
