"""Two hundred questions at the same moment, and money for fifty of them."""

import asyncio
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from groundwork.clock import utc_now
from groundwork.settings.models import BudgetSettings
from groundwork.store.embedded import EmbeddedServer
from plugins.budgets import disagreements, opened
from plugins.model_server import ModelServer, serve_models
from plugins.service import Service, service

_QUESTIONS = 200
_PAID = 50
_PRICE = Decimal("0.02")
_LIMIT = Decimal("1.00")


def _settings(server: ModelServer) -> dict[str, str]:
    paid = {"name": "paid", "kind": "compatible", "url": f"{server.url}/v1", "tier": 1, "models": ["m"]}
    return {
        "LLMS__PROVIDERS": json.dumps([{**paid, "price": {"per_request": str(_PRICE)}}]),
        "BUDGETS__DAILY_USD": str(_LIMIT),
        "LIMITS__ASK_PER_MINUTE": "0",
        "HTTP__MAX_REQUESTS": str(2 * _QUESTIONS),
    }


async def _ask_all(running: Service) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=_QUESTIONS)
    async with httpx.AsyncClient(
        base_url=running.url, headers={"X-API-Key": running.key}, limits=limits, timeout=60
    ) as client:
        questions = [f"When was tunnel {number} opened?" for number in range(_QUESTIONS)]
        return await asyncio.gather(*(client.post("/api/v1/ask", json={"question": each}) for each in questions))


async def _record(url: str) -> tuple[list[Any], list[Any], list[Any]]:
    async with opened(url, settings=BudgetSettings(daily_usd=_LIMIT)) as (_, database):
        ledger = await database.fetch("SELECT outcome, count(*), sum(cost_usd) FROM ledger GROUP BY outcome")
        return ledger, await database.fetch("SELECT FROM budget_reservations"), await disagreements(database)


def test_of_two_hundred_at_once_exactly_those_are_answered_that_can_be_paid(data_dir: Path) -> None:
    with serve_models() as server, EmbeddedServer(data_dir, durable=False) as database:
        with service(data_dir, **_settings(server)) as running:
            document = running.upload("tunnel.md", b"# Tunnels\n\nEach tunnel was opened in 1932 by the mayor.").body
            assert running.document_when_done(document["id"])["status"] == "ready"
            replies = asyncio.run(_ask_all(running))
            budget = running.call("GET", "/api/v1/budget/user/key:test?period=daily").body
        ledger, reserved, disagreeing = asyncio.run(_record(database.url))

    answered = [each.json() for each in replies if each.status_code == 200]
    refused = [each for each in replies if each.status_code == 429]
    assert (len(answered), len(refused)) == (_PAID, _QUESTIONS - _PAID)
    assert {each["mode"] for each in answered} == {"generated"}
    assert {Decimal(each["usage"]["cost_usd"]) for each in answered} == {_PRICE}
    assert len(server.requests) == _PAID, "who cannot pay is not even asked for"
    for each in refused:
        assert each.headers["content-type"] == "application/problem+json"
        assert int(each.headers["retry-after"]) > 0
        told = each.json()
        assert (told["kind"], told["period"], Decimal(told["limit"])) == ("over_budget", "daily", _LIMIT)
        assert Decimal(told["spent"]) + Decimal(told["reserved"]) == _LIMIT
        assert datetime.fromisoformat(told["reset_at"]) > utc_now()
    assert ledger == [("answered", _PAID, _LIMIT)]
    assert (reserved, disagreeing) == ([], [])
    assert Decimal(budget["spent"]) == _LIMIT
    assert Decimal(budget["remaining"]) == 0
