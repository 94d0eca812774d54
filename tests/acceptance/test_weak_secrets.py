"""A service that others can reach, or that is said to be in production, does not start with weak secrets."""

from pathlib import Path

import pytest

from plugins.service import command, service

_WEAK = "postgresql://groundwork:changeme@127.0.0.1:1/groundwork"


@pytest.mark.parametrize(
    ("arguments", "settings", "why"),
    [
        (["serve"], {"ENVIRONMENT": "production"}, "GROUNDWORK_ENVIRONMENT is production"),
        (["serve", "--role", "worker"], {"ENVIRONMENT": "production"}, "GROUNDWORK_ENVIRONMENT is production"),
        (["serve", "--host", "0.0.0.0"], {}, "listens beyond this machine, on 0.0.0.0"),
        (["serve"], {"HTTP__HOST": "::"}, "listens beyond this machine, on ::"),
    ],
)
def test_weak_secrets_are_refused(tmp_path: Path, arguments: list[str], settings: dict[str, str], why: str) -> None:
    done = command(tmp_path / "data", *arguments, HTTP__PORT="0", DATABASE_URL=_WEAK, **settings)
    assert done.returncode == 3, done.stderr
    assert why in done.stderr
    assert "  GROUNDWORK_DATABASE_URL: " in done.stderr
    assert "changeme" not in done.stderr + done.stdout
    assert not (tmp_path / "data").exists()


def test_on_this_machine_and_in_development_they_are_taken(tmp_path: Path) -> None:
    done = command(tmp_path / "data", "serve", HTTP__PORT="0", DATABASE_URL=_WEAK, DATABASE__TIMEOUT_SECONDS="1")
    assert done.returncode == 8, "it gets as far as asking the database, which is not there"
    assert "Weak secrets" not in done.stderr


def test_production_starts_with_strong_ones(tmp_path: Path, database_url: str) -> None:
    with service(
        tmp_path / "data", ENVIRONMENT="production", DATABASE_URL=database_url, EMBEDDER__API_KEY="hT5-kw9vQz2"
    ) as serving:
        assert serving.call("GET", "/health/ready").status == 200
