"""Thousands of requests that Schemathesis makes of the OpenAPI document, sent by everybody from nobody to an admin.

Every answer must be documented (status, content type, headers, body), none may be an error of the server, nobody may
get what their role may not do, and the marker of a collection that nobody may read must not come up.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from drills import Result

_TESTS = Path(__file__).resolve().parents[1] / "tests"
_MARKER = "zqhiddenqz"
_PHRASE = "correct horse battery"
_MOST_PROBLEMS = 40
_MAY_BE_UNAVAILABLE = {("POST", "/api/v1/spaces"), ("GET", "/api/v1/sources/{name}/plan")}
"""What asks servers that the request names, which need not be there."""
_MINE = "fuzz-"
"""How accounts, keys and collections of the campaign are called; it does not change those by name."""
SETTINGS = {
    "LIMITS__SEARCH_PER_MINUTE": "1000000",
    "LIMITS__ASK_PER_MINUTE": "1000000",
    "LIMITS__INGEST_PER_MINUTE": "1000000",
    "LIMITS__ADMIN_PER_MINUTE": "1000000",
    "LIMITS__LOGIN_PER_MINUTE": "1000000",
    "HTTP__TRUSTED_PROXIES": '["127.0.0.1/32"]',
    "EMBEDDER__TIMEOUT_SECONDS": "1",
    "INGEST__OCR_LANGUAGES": "",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of this drill."""
    parser.add_argument("--cases", type=int, default=5000, help="how many requests (default: 5000)")
    parser.add_argument("--seed", type=int, default=1, help="what the requests are drawn from (default: 1)")


def run(options: argparse.Namespace) -> Result:
    """The drill."""
    sys.path.insert(0, str(_TESTS))
    from plugins.service import service

    with tempfile.TemporaryDirectory(prefix="groundwork-drill-") as place:
        Path(place).chmod(0o711)
        with service(Path(place) / "data", **SETTINGS) as running:
            return Campaign(running.url, running.key, Path(place), options.seed).run(options.cases)


@dataclass(frozen=True)
class Asker:
    """Somebody who sends requests, and the scopes they have."""

    name: str
    headers: dict[str, str]
    may: frozenset[str]
    sees_everything: bool = False


@dataclass
class Campaign:
    """Requests to a running service, whose data it may spoil."""

    url: str
    admin_key: str
    place: Path
    seed: int
    sent: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[str] = field(default_factory=Counter[str])
    problems: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        import requests

        self.session = requests.Session()
        self.session.trust_env = False
        self.chance = random.Random(self.seed)
        self.library = self.place / "library"
        self.library.mkdir()
        (self.library / "a.md").write_text("# A\n\nThe canteen opens at noon.\n")

    def run(self, cases: int) -> Result:
        """Sends about so many requests."""
        import schemathesis

        schema = schemathesis.openapi.from_url(f"{self.url}/openapi.json")
        operations = list[Any](each.ok() for each in cast("Any", schema).get_all_operations())
        self._furnish()
        needs = dict(scopes_of_routes())
        for number, operation in enumerate(operations):
            share = cases * (number + 1) // len(operations) - cases * number // len(operations)
            self._try(operation, needs[operation.method.upper(), operation.path], share)
        ready = self.session.get(f"{self.url}/health/ready")
        if ready.status_code != 200:
            self._problem("afterwards", f"the service is not ready: {ready.text[:300]}")
        figures: dict[str, Any] = {
            "operations": len(operations),
            "cases": sum(self.sent.values()),
            "by_role": dict(self.sent),
            "by_status": dict(sorted(self.statuses.items())),
        }
        return Result(figures, [f"{what}: {example}" for what, example in list(self.problems.items())[:_MOST_PROBLEMS]])

    def _furnish(self) -> None:
        """Accounts, keys, documents and a collection nobody may read."""
        for name in ("member", "reviewer"):
            self._admin("POST", "/admin/users", {"name": _MINE + name, "role": name, "password": _PHRASE})
        for collection, text in (("default", "open"), (_MINE + "mine", "mine"), (_MINE + "hidden", _MARKER)):
            form = {"file": (f"{text}.md", f"# {text}\n\nThe common secret is {text}.\n".encode())}
            self.session.post(
                f"{self.url}/api/v1/documents", files=form, data={"collection": collection}, headers=self._as_admin
            ).raise_for_status()
        self._admin("PUT", f"/api/v1/collections/{_MINE}hidden/readers", {"everyone": False})
        self._admin("POST", "/api/v1/sources", {"name": "library", "location": str(self.library)})
        member, reviewer = ["search", "ask"], ["search", "ask", "ingest"]
        keys = {
            "member": self._key("member", member, user=_MINE + "member"),
            "reviewer": self._key("reviewer", reviewer, user=_MINE + "reviewer"),
            "narrow": self._key("narrow", reviewer, collections=[_MINE + "mine"]),
        }
        self.askers = [
            Asker("nobody", {}, frozenset()),
            Asker("member", keys["member"], frozenset(member)),
            Asker("reviewer", keys["reviewer"], frozenset(reviewer)),
            Asker("narrow key", keys["narrow"], frozenset(reviewer)),
            Asker("signed in", {}, frozenset(member)),
            Asker("admin", self._as_admin, frozenset([*reviewer, "admin"]), sees_everything=True),
        ]
        self.turns = cycle(self.askers)
        self.token = self._sign_in()

    def _key(self, name: str, scopes: list[str], **more: Any) -> dict[str, str]:
        return {
            "X-API-Key": self._admin("POST", "/admin/keys", {"name": _MINE + name, "scopes": scopes, **more})["key"]
        }

    @property
    def _as_admin(self) -> dict[str, str]:
        return {"X-API-Key": self.admin_key}

    def _admin(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.session.request(method, self.url + path, json=body, headers=self._as_admin, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def _sign_in(self) -> dict[str, str]:
        name = f"{_MINE}member"
        self._admin("PATCH", f"/admin/users/{name}", {"unlock": True})
        form = {"username": name, "password": _PHRASE}
        answer = self.session.post(f"{self.url}/auth/token", data=form, headers=self._from_somewhere(), timeout=60)
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def _from_somewhere(self) -> dict[str, str]:
        """Another address each time, so that failed logins block none of the campaign's own."""
        return {"X-Forwarded-For": ".".join(str(self.chance.randrange(1, 255)) for _ in range(4))}

    def _try(self, operation: Any, needs: str, cases: int) -> None:
        from hypothesis import HealthCheck, Phase, given, seed, settings
        from hypothesis import strategies as st
        from schemathesis import GenerationMode

        known = self._known(operation.path)
        modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
        if not (operation.body or operation.query or operation.path_parameters):
            modes = modes[:1]
        strategy = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

        target = sum(self.sent.values()) + cases

        @settings(
            max_examples=max(1, cases),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.large_base_example],
        )
        @given(case=strategy, real=st.booleans())
        def send(case: Any, real: bool) -> None:
            if sum(self.sent.values()) < target:
                self._send(case, next(self.turns), needs, known if real else {})

        number = self.seed
        while sum(self.sent.values()) < target:  # one round is soon over where there is nothing to choose
            seed(number)(send)()
            number += 1

    def _known(self, path: str) -> dict[str, list[str]]:
        """Values for the parameters of a path that are there."""

        def names(listed: str, key: str) -> list[str]:
            values = [each[key] for each in self._admin("GET", listed)["items"]]
            return [quote(value, safe="") for value in values if not value.startswith(_MINE) and value.strip(".")]

        if "{document_id}" in path:
            return {"document_id": names("/api/v1/documents", "id")}
        if "{job_id}" in path:  # the events of a job that has not ended have no end either
            return {"job_id": names("/api/v1/jobs?status=succeeded", "id") + names("/api/v1/jobs?status=failed", "id")}
        lists: dict[str, Callable[[], list[str]]] = {
            "/api/v1/collections/": lambda: names("/api/v1/collections", "name"),
            "/api/v1/sources/": lambda: names("/api/v1/sources", "name"),
            "/api/v1/spaces/": lambda: names("/api/v1/spaces", "name"),
            "/admin/users/": lambda: names("/admin/users", "name"),
        }
        found = [each() for start, each in lists.items() if path.startswith(start) and "{name}" in path]
        return {"name": found[0]} if found else {}

    def _send(self, case: Any, asker: Asker, needs: str, known: dict[str, list[str]]) -> None:
        import requests

        operation = (case.operation.method.upper(), case.operation.path)
        what = f"{asker.name}, {' '.join(operation)}"
        for name, values in known.items():
            if values:
                case.path_parameters[name] = self.chance.choice(values)
        self._keep_at_home(case)
        case.headers.pop("X-API-Key", None)
        case.headers.pop("Authorization", None)
        sent = {**(self.token if asker.name == "signed in" else asker.headers), **self._from_somewhere()}
        self.sent[asker.name] += 1
        try:
            answer = case.call(self.url, self.session, headers=sent, timeout=60)
        except requests.RequestException as error:
            self._problem(f"{what}, no answer", repr(error)[:300])
            return
        self.statuses[str(answer.status_code)] += 1
        self._judge(what, case, asker, needs, answer)
        self._put_back(operation, asker, answer.status_code)

    def _judge(self, what: str, case: Any, asker: Asker, needs: str, answer: Any) -> None:
        status = answer.status_code
        operation = (case.operation.method.upper(), case.operation.path)
        text = answer.content.decode("utf-8", "replace")
        if status >= 500 and (status != 503 or operation not in _MAY_BE_UNAVAILABLE):
            self._problem(f"{what}, status {status}", f"{_request(case)} -> {text[:300]}")
        if status < 300 and needs != "public" and needs not in asker.may:
            self._problem(f"{what}, status {status} without the scope {needs}", _request(case))
        if not asker.sees_everything and _MARKER in text:
            self._problem(f"{what}, shows what nobody may read", f"{_request(case)} -> {text[:300]}")
        for failure in undocumented(case, answer):
            self._problem(f"{what}, status {status}, {failure[:120]}", f"{_request(case)} -> {text[:300]} ({failure})")

    def _keep_at_home(self, case: Any) -> None:
        """A source is added for no folder of this machine but the campaign's own."""
        if isinstance(case.body, dict) and "location" in case.body:
            location: Any = cast("dict[str, Any]", case.body)["location"]
            if isinstance(location, str) and (location[:1] in {"/", "~", "."} or self.chance.random() < 0.3):
                case.body["location"] = str(self.library)

    def _put_back(self, operation: tuple[str, str], asker: Asker, status: int) -> None:
        """Undoes what would end the campaign: maintenance mode, and a log-out of its own token."""
        if operation == ("PUT", "/admin/maintenance") and status == 200:
            self._admin("PUT", "/admin/maintenance", {"on": False})
        if asker.name == "signed in" and (status == 401 or operation[1] in {"/auth/logout", "/auth/password"}):
            self.token = self._sign_in()

    def _problem(self, what: str, example: str) -> None:
        self.problems.setdefault(what, example)


def undocumented(case: Any, answer: Any) -> list[str]:
    """What of an answer the OpenAPI document does not say: status, content type, headers, body."""
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi import checks

    wanted: list[Any] = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]
    try:
        case.validate_response(answer, checks=wanted)
    except FailureGroup as group:
        return [" ".join(f"{each.title}: {each.message}".split()) for each in group.exceptions]
    return []


def scopes_of_routes() -> Iterator[tuple[tuple[str, str], str]]:
    """What each route declares that it needs, by method and path; `public` for nothing."""
    from contextlib import asynccontextmanager

    from fastapi.dependencies.models import Dependant
    from fastapi.routing import APIRoute

    from groundwork.api.app import create_app
    from groundwork.api.state import Needs, Public
    from groundwork.settings import HttpSettings

    def declared(dependant: Dependant) -> Iterator[str]:
        if isinstance(dependant.call, Needs | Public):
            yield dependant.call.scope if isinstance(dependant.call, Needs) else "public"
        for each in dependant.dependencies:
            yield from declared(each)

    @asynccontextmanager
    async def nothing() -> AsyncGenerator[Any]:
        yield None

    for each in cast("list[Any]", create_app(nothing, HttpSettings()).routes):
        inside: list[Any] = each.original_router.routes if hasattr(each, "original_router") else [each]
        for route in inside:
            if isinstance(route, APIRoute):
                for method in route.methods or ():
                    yield (method, route.path_format), max(declared(route.dependant), key=_RANK.index)


_RANK = ["public", "search", "ask", "ingest", "admin"]


def _request(case: Any) -> str:
    return f"{case.operation.method.upper()} {case.formatted_path} {case.query or ''} {str(case.body)[:300]}"
