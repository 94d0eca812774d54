"""`groundwork check`: look, mend when asked to, look again, and leave the result where metrics and health read it."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from groundwork.clock import utc_now
from groundwork.health.look import Seen, Stored, Told, look
from groundwork.health.mend import Means, mend
from groundwork.health.truths import TRUTHS
from groundwork.telemetry import textfile

_MOST_ROUNDS = 3
"""One mending may bring the next thing to light: a text that was read again has to be indexed again."""


@dataclass(frozen=True)
class Report:
    """What a check found and what is left of it."""

    checked_at: datetime
    seconds: float
    mended: bool
    first: Seen
    last: Seen

    @property
    def left(self) -> int:
        """How much is broken still."""
        return self.last.count(*(truth.name for truth in TRUTHS))

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "ok": self.left == 0,
            "checked_at": self.checked_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "mended": self.mended,
            "checks": [
                {
                    "name": truth.name,
                    "truth": truth.sentence,
                    "found": self.first.count(truth.name),
                    "left": self.last.count(truth.name),
                    "examples": (self.first.broken[truth.name].examples if truth.name in self.first.broken else []),
                    "cure": truth.cure,
                }
                for truth in TRUTHS
            ],
        }


async def check(stored: Stored, folder: Path, told: Told) -> Report:
    """What is broken; changes nothing but the result kept in `folder`."""
    began, at = time.monotonic(), utc_now()
    seen = await look(stored, told)
    return _keep(folder, Report(at, time.monotonic() - began, False, seen, seen))


async def repair(means: Means, folder: Path, told: Told) -> Report:
    """Mends what is broken; what was and what is still."""
    began, at = time.monotonic(), utc_now()
    first = last = await look(means.stored, told)
    for _ in range(_MOST_ROUNDS):
        left = _left(last)
        if not left:
            break
        await mend(means, last, told)
        last = await look(means.stored, told)
        if _left(last) == left:
            break
    return _keep(folder, Report(at, time.monotonic() - began, True, first, last))


def last_result(folder: Path, now: datetime | None = None) -> dict[str, Any]:
    """The last check as a component of the service's health.

    `status` is `ok`, `degraded` when something is broken, `unknown` when there was no check yet.
    """
    try:
        kept: dict[str, Any] = json.loads((folder / "check.json").read_text(encoding="utf-8"))
        checked_at = datetime.fromisoformat(kept["checked_at"])
        broken = {each["name"]: each["left"] for each in kept["checks"] if each["left"]}
    except (OSError, ValueError, KeyError):
        return {"status": "unknown", "message": "Nothing was checked yet: run `groundwork check`."}
    return {
        "status": "degraded" if broken else "ok",
        "checked_at": kept["checked_at"],
        "age_seconds": round(((now or utc_now()) - checked_at).total_seconds(), 1),
        "broken": broken,
    }


def _left(seen: Seen) -> dict[str, int]:
    return {name: broken.count for name, broken in seen.broken.items() if broken.count}


def _keep(folder: Path, report: Report) -> Report:
    textfile.write(folder / "check.prom", _metrics(report))
    textfile.replace(folder / "check.json", json.dumps(report.body(), ensure_ascii=False, indent=1))
    return report


def _metrics(report: Report) -> list[str]:
    """For a textfile collector and for the service's own metrics."""
    left = {f'check="{truth.name}"': report.last.count(truth.name) for truth in TRUTHS}
    at, seconds = round(report.checked_at.timestamp(), 3), round(report.seconds, 3)
    return [
        *textfile.gauge(
            "groundwork_check_violations", "What the last check found broken and not mended, by check.", left
        ),
        *textfile.gauge("groundwork_check_last_run_timestamp_seconds", "When the last check began.", {"": at}),
        *textfile.gauge("groundwork_check_duration_seconds", "How long the last check took.", {"": seconds}),
    ]
