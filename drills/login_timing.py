"""Whether a login with a wrong name can be told from one with a wrong password by how long it takes.

Pairs are interleaved over HTTP against a real service, each from an address of its own so that no block interferes. The
permutation test asks how often as large a difference of medians would come by chance.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

from drills import Result

_TESTS = Path(__file__).resolve().parents[1] / "tests"
_PHRASE = "correct horse battery"
_SHUFFLES = 5000
_BY_CHANCE = 0.001
_MATTERS = 0.03
"""Share of a login that a difference has to be before it is called a problem."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of this drill."""
    parser.add_argument("--pairs", type=int, default=200, help="pairs of failed logins (default: 200)")


def run(options: argparse.Namespace) -> Result:
    """The drill."""
    sys.path.insert(0, str(_TESTS))
    from plugins.service import service

    settings = {"LIMITS__LOGIN_PER_MINUTE": "0", "LIMITS__ADMIN_PER_MINUTE": "0"}
    with tempfile.TemporaryDirectory(prefix="groundwork-drill-") as place:
        Path(place).chmod(0o711)
        with service(Path(place) / "data", HTTP__TRUSTED_PROXIES='["127.0.0.1/32"]', **settings) as running:
            people = options.pairs // 4 + 1  # an account is blocked after its fifth failure in a row
            for n in range(people):
                body = {"name": f"person{n}", "password": _PHRASE}
                assert running.call("POST", "/admin/users", body).status == 201
            took = _measure(running.knowing(""), options.pairs)
    difference = median(took["password"]) - median(took["name"])
    chance = _by_chance(took["name"], took["password"], random.Random(2))
    figures = {
        "pairs": options.pairs,
        "wrong_name_median_ms": round(median(took["name"]), 3),
        "wrong_password_median_ms": round(median(took["password"]), 3),
        "difference_ms": round(difference, 3),
        "p_value": round(chance, 4),
    }
    told_apart = chance < _BY_CHANCE and abs(difference) > _MATTERS * median(took["name"])
    return Result(figures, ["wrong names and wrong passwords take different times"] if told_apart else [])


def _measure(nobody: Any, pairs: int) -> dict[str, list[float]]:
    """Milliseconds of failed logins, in turn with a wrong name and a wrong password, who goes first by chance."""
    chance = random.Random(1)
    took: dict[str, list[float]] = {"name": [], "password": []}
    for n in range(-5, pairs):
        turns = [("name", f"nobody{n // 4}"), ("password", f"person{n // 4}")]  # warming up, both are nobody
        chance.shuffle(turns)
        for what, name in turns:
            form = urlencode({"username": name, "password": f"not the password {n}"}).encode()
            headers = {
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Forwarded-For": f"10.{n % 200 + 5}.{n // 200 + 5}.{len(what)}",
            }
            began = time.perf_counter()
            status = nobody.call("POST", "/auth/token", content=form, headers=headers).status
            seconds = time.perf_counter() - began
            if n >= 0:  # those before are for warming up
                assert status == 401, status
                took[what].append(seconds * 1000)
    return took


def _by_chance(first: list[float], second: list[float], chance: random.Random) -> float:
    """The share of random re-labellings within pairs whose medians differ at least as much."""
    seen = abs(median(first) - median(second))
    hits = 0
    for _ in range(_SHUFFLES):
        swapped = [(b, a) if chance.random() < 0.5 else (a, b) for a, b in zip(first, second, strict=True)]
        hits += abs(median(a for a, _ in swapped) - median(b for _, b in swapped)) >= seen
    return (hits + 1) / (_SHUFFLES + 1)
