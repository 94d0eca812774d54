"""A short campaign of `scripts/drill api-fuzz` against a real service."""

import tempfile
from pathlib import Path

from drills.api_fuzz import SETTINGS, Campaign, scopes_of_routes

from plugins.service import service

_CASES = 240


def test_every_answer_is_documented_and_nobody_gets_what_their_role_may_not(tmp_path: Path) -> None:
    with service(Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data", **SETTINGS) as running:
        result = Campaign(running.url, running.key, tmp_path, seed=7).run(_CASES)
    assert result.problems == []
    assert result.figures["operations"] >= 60
    assert sum(result.figures["by_role"].values()) == _CASES
    assert len(result.figures["by_role"]) == 6
    assert {"200", "401", "403", "404", "422"} <= set(result.figures["by_status"])


def test_the_campaign_knows_what_every_route_needs() -> None:
    needs = dict(scopes_of_routes())
    assert needs["GET", "/health/ready"] == "public"
    assert needs["POST", "/api/v1/search"] == "search"
    assert needs["POST", "/api/v1/documents"] == "ingest"
    assert {scope for (_, path), scope in needs.items() if path.startswith("/admin")} == {"admin"}
