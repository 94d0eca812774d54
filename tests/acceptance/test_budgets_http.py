"""Budgets as people, programs and admins meet them: over HTTP and at the command line."""

import json
import tempfile
from collections.abc import Generator
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from groundwork.store.layout import Layout
from plugins.model_server import ModelServer, says, serve_models
from plugins.service import Reply, Service, command, command_json, new_key, service

_BUDGET = "/api/v1/budget"
_QUESTION = {"question": "How many weeks of leave are there?"}


class _House:
    """A service that pays two cents for every answer and lets everybody spend five a day."""

    def __init__(self, serving: Service, data_dir: Path, models: ModelServer) -> None:
        self.serving, self.data_dir, self.models = serving, data_dir, models
        self.settings = _settings(models)

    def as_user(self, name: str) -> Service:
        """The service as a new member knows it."""
        self.serving.call("POST", "/admin/users", {"name": name})
        made = self.serving.call("POST", "/admin/keys", {"name": "own", "scopes": ["search", "ask"], "user": name})
        return self.serving.knowing(made.body["key"])

    def limit(self, user: str, period: str, limit: Any) -> Reply:
        """Sets a limit."""
        return self.serving.call("POST", f"{_BUDGET}/limit", {"user_id": user, "period": period, "limit": limit})


def _settings(models: ModelServer) -> dict[str, str]:
    paid = {"name": "paid", "kind": "compatible", "url": f"{models.url}/v1", "models": ["m-1"], "tier": 1,
            "price": {"per_request": "0.02"}}  # fmt: skip
    return {"LLMS__PROVIDERS": json.dumps([paid]), "BUDGETS__DAILY_USD": "0.05", "CACHE__ANSWER_SECONDS": "0"}


@pytest.fixture(scope="module")
def house() -> Generator[_House]:
    data_dir = Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data"
    with serve_models() as models:
        models.default = says("Sixteen weeks [1].")
        with service(data_dir, **_settings(models)) as serving:
            uploaded = serving.upload("leave.md", b"# Leave\n\nThere are sixteen weeks of parental leave.\n")
            assert serving.document_when_done(uploaded.body["id"])["status"] == "ready"
            yield _House(serving, data_dir, models)


def test_an_answer_is_paid_for_and_refused_when_the_budget_is_spent(house: _House) -> None:
    ada = house.as_user("ada")
    for spent in ("0.02", "0.04"):
        answered = ada.call("POST", "/api/v1/ask", _QUESTION)
        assert (answered.status, answered.body["mode"], answered.body["usage"]["cost_usd"]) == (
            200,
            "generated",
            "0.02",
        )
        assert ada.call("GET", f"{_BUDGET}/user/ada").body["spent"] == spent
    sent = len(house.models.requests)
    refused = ada.call("POST", "/api/v1/ask", _QUESTION)
    assert refused.status == 429
    assert len(house.models.requests) == sent, "refused before anything is spent"
    told = refused.body
    assert (told["kind"], told["period"], told["limit"], told["spent"], told["reserved"]) == (
        "over_budget",
        "daily",
        "0.05",
        "0.04",
        "0",
    )
    wait = datetime.fromisoformat(told["reset_at"]) - parsedate_to_datetime(refused.headers["Date"])
    assert abs(wait.total_seconds() - int(refused.headers["Retry-After"])) < 10
    assert set(told) == {
        "type",
        "title",
        "status",
        "detail",
        "kind",
        "period",
        "limit",
        "spent",
        "reserved",
        "reset_at",
    }

    assert house.limit("ada", "daily", "0.06").status == 200
    assert ada.call("POST", "/api/v1/ask", _QUESTION).status == 200
    assert house.limit("ada", "daily", None).body["remaining"] is None
    assert ada.call("POST", "/api/v1/ask", _QUESTION).status == 200
    stats = house.serving.call("GET", "/admin/stats").body
    assert Decimal(stats["spent_usd"]["today"]) >= Decimal("0.08")
    assert Decimal(stats["spent_usd"]["this_month"]) >= Decimal(stats["spent_usd"]["today"])


def test_one_sees_ones_own_budget_and_admins_see_everybodys(house: _House) -> None:
    bob = house.as_user("bob")
    own = bob.call("GET", f"{_BUDGET}/user/BOB?period=weekly")
    assert own.status == 200
    reset = own.body["resets_at"]
    assert own.body == {
        "resets_at": reset,
        "user_id": "bob",
        "period": "weekly",
        "limit": None,
        "own_limit": False,
        "spent": "0",
        "reserved": "0",
        "remaining": None,
    }
    assert datetime.fromisoformat(reset).weekday() == 0
    assert house.serving.call("GET", f"{_BUDGET}/user/bob").body["limit"] == "0.05"
    for name in ("ada", "nobody", "key:test", "no such name", "..", ""):
        others = bob.call("GET", f"{_BUDGET}/user/{quote(name, safe='')}")
        assert others.status == 403, name
        assert "'bob'" in others.body["detail"]
    for name in ("nobody", "no such name", "key:nobody"):
        unknown = house.serving.call("GET", f"{_BUDGET}/user/{quote(name, safe='')}")
        assert (unknown.status, unknown.body["kind"]) == (404, "not_found")
        assert house.limit(name, "daily", 1).status == 404
    assert bob.call("POST", f"{_BUDGET}/limit", {"user_id": "bob", "period": "daily", "limit": None}).status == 403
    assert bob.call("DELETE", f"{_BUDGET}/limit?user_id=bob&period=daily").status == 403
    assert bob.call("GET", f"{_BUDGET}/top-spenders/daily").status == 403


def test_a_program_has_a_budget_by_its_name_whatever_its_key_may_do(house: _House) -> None:
    made = house.serving.call("POST", "/admin/keys", {"name": "night/ly", "scopes": ["ask"]}).body["key"]
    nightly = house.serving.knowing(made)
    assert nightly.call("POST", "/api/v1/ask", _QUESTION).status == 200
    own = nightly.call("GET", f"{_BUDGET}/user/key:night/ly")
    assert (own.status, own.body["spent"]) == (200, "0.02")
    assert nightly.call("GET", f"{_BUDGET}/user/key:test").status == 403
    only_admin = house.serving.knowing(new_key(house.data_dir, "admin", **house.settings))
    assert only_admin.call("GET", f"{_BUDGET}/user/key%3Anight%2Fly").body["spent"] == "0.02"


def test_limits_are_set_shown_taken_back_and_audited(house: _House) -> None:
    house.as_user("eve")
    for given, shown in (("0.000001", "0.000001"), (2, "2"), (0.1, "0.1"), ("10.500000", "10.5"), (0, "0")):
        answered = house.limit("Eve", "monthly", given)
        assert (answered.status, answered.body["limit"], answered.body["own_limit"]) == (200, shown, True)
    back = house.serving.call("DELETE", f"{_BUDGET}/limit?user_id=eve&period=monthly")
    assert (back.status, back.body["limit"], back.body["own_limit"]) == (200, None, False)
    assert house.serving.call("DELETE", f"{_BUDGET}/limit?user_id=eve&period=monthly").status == 200
    entries = house.serving.call("GET", "/admin/audit?action=budget_changed&limit=6").body["items"]
    assert [(each["details"]["before"], each["details"]["after"]) for each in entries] == [
        ("0", "default"),
        ("10.5", "0"),
        ("0.1", "10.5"),
        ("2", "0.1"),
        ("0.000001", "2"),
        ("default", "0.000001"),
    ]
    assert {each["subject"] for each in entries} == {"eve"}
    assert entries[0]["actor"].startswith("key:test/")


@pytest.mark.parametrize("limit", [-1, "1e400", "NaN", "Infinity", "0.0000001", "much", True, [], 10**13])
def test_what_is_no_limit_is_refused(house: _House, limit: Any) -> None:
    refused = house.limit("ada", "daily", limit)
    assert (refused.status, refused.body["kind"]) == (422, "invalid")


def test_a_limit_has_to_be_said(house: _House) -> None:
    for body in (
        {"user_id": "ada", "period": "daily"},
        {"user_id": "ada", "limit": 1},
        {"user_id": "ada", "period": "yearly", "limit": 1},
        {"user_id": "", "period": "daily", "limit": 1},
        {"user_id": "a\0", "period": "daily", "limit": 1},
    ):
        assert house.serving.call("POST", f"{_BUDGET}/limit", body).status == 422, body
    assert house.serving.call("GET", f"{_BUDGET}/user/ada?period=hourly").status == 422


def test_who_spends_most_comes_first(house: _House) -> None:
    joe = house.as_user("joe")
    assert joe.call("POST", "/api/v1/ask", _QUESTION).status == 200
    ranking = house.serving.call("GET", f"{_BUDGET}/top-spenders/monthly").body
    spent = [Decimal(each["spent"]) for each in ranking["items"]]
    assert spent == sorted(spent, reverse=True)
    assert [each["rank"] for each in ranking["items"]] == list(range(1, len(spent) + 1))
    assert {"user_id": "joe", "spent": "0.02"}.items() <= next(
        each for each in ranking["items"] if each["user_id"] == "joe"
    ).items()
    assert len(house.serving.call("GET", f"{_BUDGET}/top-spenders/daily?limit=1").body["items"]) == 1
    assert house.serving.call("GET", f"{_BUDGET}/top-spenders/yearly").status == 422


def test_the_same_at_the_command_line(house: _House) -> None:
    house.as_user("sam").call("POST", "/api/v1/ask", _QUESTION)

    def ask(*words: str) -> Any:
        return command_json(house.data_dir, *words, **house.settings)

    assert ask("budgets", "set", "sam", "weekly", "0.03")["limit"] == "0.03"
    shown = ask("--as", "sam", "budgets", "show")["items"]
    assert [(each["period"], each["limit"], each["remaining"]) for each in shown] == [
        ("daily", "0.05", "0.03"),
        ("weekly", "0.03", "0.01"),
        ("monthly", None, None),
    ]
    over_http = house.serving.call("GET", f"{_BUDGET}/user/sam?period=weekly").body
    assert shown[1] == over_http
    assert ask("budgets", "set", "sam", "weekly", "default")["own_limit"] is False
    (line,) = ask("--as", "sam", "budgets", "ledger", "--since", "2026-01-01")["items"]
    assert (line["user_id"], line["purpose"], line["cost_usd"]) == ("sam", "answer", "0.02")
    assert "sam" in {each["user_id"] for each in ask("budgets", "top")["items"]}
    for words, code in (
        (("--as", "sam", "budgets", "ledger", "ada"), 3),
        (("--as", "sam", "budgets", "set", "sam", "daily", "none"), 3),
        (("budgets", "show", "nobody"), 4),
        (("budgets", "set", "sam", "daily", "much"), 2),
        (("budgets", "ledger", "--since", "yesterday"), 2),
    ):
        assert command(house.data_dir, *words, **house.settings).returncode == code, words


def test_somebody_who_is_erased_leaves_what_they_spent_and_no_name(house: _House) -> None:
    house.as_user("tom").call("POST", "/api/v1/ask", _QUESTION)
    house.limit("tom", "daily", 1)
    done = command(house.data_dir, "users", "export", "tom", **house.settings)
    told = json.loads(done.stdout)
    assert [(each["period"], each["limit"]) for each in told["budget_limits"]] == [("daily", "1")]
    assert [each["cost_usd"] for each in told["ledger"]] == ["0.02"]
    before = house.serving.call("GET", "/admin/stats").body["spent_usd"]
    assert house.serving.call("DELETE", "/admin/users/tom").status == 200
    assert house.serving.call("GET", "/admin/stats").body["spent_usd"] == before
    assert house.serving.call("GET", f"{_BUDGET}/user/tom").status == 404
    ranking = house.serving.call("GET", f"{_BUDGET}/top-spenders/monthly").body["items"]
    assert [each["spent"] for each in ranking if each["user_id"].startswith("erased:")] == ["0.02"]
    with psycopg.connect(Layout.of(house.data_dir).url()) as database:
        for table in ("ledger", "budget_periods", "budget_reservations", "budget_limits"):
            assert database.execute(f"SELECT FROM {table} WHERE account = 'tom'").rowcount == 0  # type: ignore[arg-type]
    checked = command_json(house.data_dir, "check", **house.settings)
    assert {each["name"]: each["left"] for each in checked["checks"]}["spent_not_in_ledger"] == 0
