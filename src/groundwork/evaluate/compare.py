"""Two embedding spaces side by side: the same questions searched in both, before readers get the new one."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast

from groundwork.errors import Invalid
from groundwork.evaluate import beir, metrics
from groundwork.evaluate.run import Step
from groundwork.retrieve.search import Found

DEPTH = 10
_MOST_SHOWN = 5

Find = Callable[[str], Awaitable[Found]]


@dataclass(frozen=True)
class Asked:
    """A saved question. `relevant`: documents that answer it with their grades, by address or last part of it."""

    text: str
    relevant: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Contest:
    """Who is compared."""

    live: str
    find_live: Find
    candidate: str
    find_candidate: Find


@dataclass(frozen=True)
class _Seen:
    asked: Asked
    live: Found
    candidate: Found
    live_ms: float
    candidate_ms: float

    @property
    def overlap(self) -> float:
        """The share of passages that both found; 1 where neither found any."""
        ours = {each.chunk.chunk_id for each in self.live.passages}
        theirs = {each.chunk.chunk_id for each in self.candidate.passages}
        return len(ours & theirs) / max(len(ours), len(theirs)) if ours or theirs else 1.0


def load(path: Path) -> list[Asked]:
    """Questions of a BEIR folder, or of a file with a JSON object or string on each line. Raises Invalid.

    An object has the question as `text`, and perhaps `relevant`: documents with their grades.
    """
    if path.is_dir():
        return [Asked(query.text, query.relevant) for query in beir.load(path).queries]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Invalid(
            f"There are no questions at {path} ({error.strerror}). Write one on each line, as in "
            '{"text": "How many weeks of leave are there?"}, or name another file or a BEIR folder with --questions.'
        ) from error
    asked = [_asked(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not asked:
        raise Invalid(f"{path} holds no questions.")
    return asked


async def compare(contest: Contest, questions: Sequence[Asked], step: Step) -> dict[str, Any]:
    """The report: how far both find the same, how quickly, and how well where there are judgments."""
    await contest.find_live(questions[0].text)
    await contest.find_candidate(questions[0].text + " ")
    seen: list[_Seen] = []
    for done, asked in enumerate(questions, start=1):
        live, live_ms = await _timed(contest.find_live, asked.text)
        candidate, candidate_ms = await _timed(contest.find_candidate, asked.text)
        seen.append(_Seen(asked, live, candidate, live_ms, candidate_ms))
        step("questions", done, len(questions))
    least = sorted(seen, key=lambda each: each.overlap)[:_MOST_SHOWN]
    return {
        "live": contest.live,
        "candidate": contest.candidate,
        "questions": len(seen),
        f"overlap@{DEPTH}": round(metrics.mean([each.overlap for each in seen]), 4),
        "same_first": round(metrics.mean([float(_first(each.live) == _first(each.candidate)) for each in seen]), 4),
        "live_p50_ms": round(metrics.percentile([each.live_ms for each in seen], 0.5), 2),
        "candidate_p50_ms": round(metrics.percentile([each.candidate_ms for each in seen], 0.5), 2),
        **_judged(seen),
        "least_alike": [{"question": each.asked.text, "overlap": round(each.overlap, 4)} for each in least],
    }


def _judged(seen: Sequence[_Seen]) -> dict[str, Any]:
    """nDCG of both, over the questions of which either found a judged document."""
    pairs = [(each, _ranking(each.live, each.asked), _ranking(each.candidate, each.asked)) for each in seen]
    known = [(each, *both) for each, *both in pairs if each.asked.relevant.keys() & {*both[0], *both[1]}]
    if not known:
        return {}
    return {
        "judged_questions": len(known),
        f"live_ndcg@{DEPTH}": _ndcg([(ranking, each.asked) for each, ranking, _ in known]),
        f"candidate_ndcg@{DEPTH}": _ndcg([(ranking, each.asked) for each, _, ranking in known]),
    }


def _ndcg(rankings: Sequence[tuple[Sequence[str], Asked]]) -> float:
    return round(metrics.mean([metrics.ndcg(ranking, asked.relevant, DEPTH) for ranking, asked in rankings]), 4)


def _ranking(found: Found, asked: Asked) -> list[str]:
    """Documents at the place of their best passage, under the name the judgments give them."""
    return list(dict.fromkeys(_judged_name(passage.chunk.uri, asked) for passage in found.passages))


def _judged_name(uri: str, asked: Asked) -> str:
    last = PurePosixPath(uri)
    return next((name for name in (uri, last.name, last.stem) if name in asked.relevant), uri)


def _first(found: Found) -> object:
    return found.passages[0].chunk.chunk_id if found.passages else None


async def _timed(find: Find, text: str) -> tuple[Found, float]:
    began = time.perf_counter()
    found = await find(text)
    return found, (time.perf_counter() - began) * 1000


def _asked(path: Path, number: int, line: str) -> Asked:
    try:
        row: Any = json.loads(line)
        if isinstance(row, str):
            return Asked(row)
        fields = cast("dict[str, Any]", row)
        return Asked(str(fields["text"]), {str(key): int(grade) for key, grade in fields.get("relevant", {}).items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid(f"{path}, line {number}: not a question; write a string, or an object with `text`.") from error
