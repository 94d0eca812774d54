"""Addresses of sources are stored and shown, so that none holds a password."""

from typing import Any

import pytest

from groundwork.errors import Invalid
from groundwork.ingest.sources import parse_location

_SECRET = "canary-in-an-address"


@pytest.mark.parametrize(
    ("location", "options"),
    [
        (f"https://ada:{_SECRET}@127.0.0.1/a.git", {}),
        (f"https://{_SECRET}@127.0.0.1/a.git", {}),
        (f"git+https://ada:{_SECRET}@127.0.0.1/a", {}),
        (f"git+https://ada:{_SECRET}@127.0.0.1/a@main", {}),
        (f"ssh://ada:{_SECRET}@127.0.0.1/a.git", {}),
        (f"HTTPS://ada:{_SECRET}@127.0.0.1/", {}),
        (f"s3+https://ada:{_SECRET}@127.0.0.1/bucket", {}),
        ("s3://bucket", {"endpoint": f"https://ada:{_SECRET}@127.0.0.1"}),
        ("https://127.0.0.1/", {"urls": [f"https://ada:{_SECRET}@127.0.0.1/"]}),
        (f"ftp://ada:{_SECRET}@127.0.0.1/", {}),
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(location: str, options: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        parse_location(location, options)
    assert _SECRET not in refused.value.message


@pytest.mark.parametrize(
    "location",
    ["ssh://git@127.0.0.1/a.git", "git@127.0.0.1:a.git", "https://127.0.0.1/@ada:b@c", "git+https://127.0.0.1/a@main"],
)
def test_an_address_with_a_user_but_no_password_is_taken(location: str) -> None:
    assert parse_location(location)[0] in {"git", "web"}
