"""S3 buckets on a server on this machine: what goes wrong there, and what is said about it."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from groundwork.errors import GroundworkError, Invalid, NotFound, Refused, Unavailable
from groundwork.ingest.sources.addresses import Gate
from groundwork.ingest.sources.config import S3Config
from groundwork.ingest.sources.s3 import S3Source
from groundwork.settings import SourceSettings
from plugins.s3 import KEY, REGION, SECRET, Bucket, bucket
from plugins.website import Answer, Website

_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@pytest.fixture
def shelf() -> Iterator[Bucket]:
    with bucket() as made:
        yield made


@pytest.fixture(autouse=True)
def no_credentials_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"]:
        monkeypatch.delenv(name)


def _source(
    name: str, settings: dict[str, Any] | None = None, gate: Gate | None = None, **config: Any
) -> closing[S3Source]:
    given: dict[str, Any] = {
        "allow_private_addresses": True, "s3_region": REGION, "s3_access_key_id": KEY,
        "s3_secret_access_key": SecretStr(SECRET), "fetch_timeout_seconds": 2,
    }  # fmt: skip
    chosen = SourceSettings(**{**given, **(settings or {})})
    return closing(S3Source(S3Config(bucket=name, **config), chosen, 1 << 20, gate))


def _uris(name: str, **more: Any) -> list[str]:
    with _source(name, **more) as source:
        return [item.uri for item in source.items()]


def test_uris_name_bucket_and_key_and_the_sources_own_endpoint(shelf: Bucket) -> None:
    shelf.put("a/grüße & mehr.md", b"x")
    own = _uris(shelf.name, endpoint=shelf.endpoint)
    assert own == [f"s3+{shelf.endpoint}/{shelf.name}/a/grüße & mehr.md"]
    operators = _uris(shelf.name, settings={"s3_endpoint": shelf.endpoint})
    assert operators == [f"s3://{shelf.name}/a/grüße & mehr.md"]


def test_many_objects_are_listed_in_the_order_of_their_keys(shelf: Bucket) -> None:
    for number in range(1100):  # more than one answer of the server holds
        shelf.put_directly(f"{number:05}.txt", b"x")
    uris = _uris(shelf.name, endpoint=shelf.endpoint)
    assert len(uris) == 1100
    assert uris == sorted(uris)


def test_credentials_come_from_the_environment_when_the_settings_name_none(
    shelf: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("a.md", b"x")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    without = {"s3_access_key_id": None, "s3_secret_access_key": None}
    assert len(_uris(shelf.name, endpoint=shelf.endpoint, settings=without)) == 1


def test_a_public_bucket_is_read_without_credentials(shelf: Bucket) -> None:
    shelf.put("a.md", b"x")
    shelf.client.put_bucket_acl(Bucket=shelf.name, ACL="public-read")
    without = {"s3_access_key_id": None, "s3_secret_access_key": None}
    assert len(_uris(shelf.name, endpoint=shelf.endpoint, anonymous=True, settings=without)) == 1


def test_an_object_removed_since_it_was_listed_is_gone(shelf: Bucket) -> None:
    shelf.put("a.md", b"x")
    with _source(shelf.name, endpoint=shelf.endpoint) as source:
        (item,) = source.items()
        shelf.remove("a.md")
        with pytest.raises(NotFound, match="gone from the bucket"):
            item.read()


def test_an_object_that_grew_since_it_was_listed_is_broken_off(shelf: Bucket) -> None:
    shelf.put("a.txt", b"x")
    with _source(shelf.name, endpoint=shelf.endpoint) as source:
        (item,) = source.items()
        shelf.put("a.txt", b"x" * (3 << 20))
        with pytest.raises(Invalid, match="larger than 1 MiB"):
            item.read()


def test_a_folder_marker_is_no_document(shelf: Bucket) -> None:
    shelf.put("docs/", b"")
    shelf.put("docs/inner/", b"")
    shelf.put("docs/README", b"read")
    assert _uris(shelf.name, endpoint=shelf.endpoint, prefix="docs") == [
        f"s3+{shelf.endpoint}/{shelf.name}/docs/README"
    ]


def test_a_key_that_cannot_be_addressed_is_named(shelf: Bucket) -> None:
    shelf.put("a//b.md", b"x")
    with pytest.raises(Invalid, match=r"The key 'a//b\.md' .* rename that object"):
        _uris(shelf.name, endpoint=shelf.endpoint)


def test_a_bucket_that_is_not_there(shelf: Bucket) -> None:
    with pytest.raises(NotFound, match="There is no bucket nowhere"):
        _uris("nowhere", endpoint=shelf.endpoint)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Answer(_DENIED, "application/xml", 403), Refused, "S3_ACCESS_KEY_ID"),
        (Answer(_DENIED, "application/xml", 401), Refused, "S3_ACCESS_KEY_ID"),
        (Answer(b"<Error><Code>PermanentRedirect</Code></Error>", "application/xml", 301), Invalid, "set `region`"),
        (Answer(status=503), Unavailable, "try again later"),
        (Answer(b"<html>a captive portal</html>"), NotFound, "Nothing is below"),
    ],
    ids=["forbidden", "unknown key", "other region", "overloaded", "no S3 at all"],
)
def test_what_the_server_says_becomes_what_to_do(answer: Answer, kind: type[GroundworkError], said: str) -> None:
    with Website().serving() as site:
        site.pages["/shelf?list-type=2"] = answer
        with pytest.raises(kind, match=said):
            _uris("shelf", endpoint=site.url)


def test_a_server_that_is_not_there_is_unavailable_before_long() -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="try again later"):
        _uris("shelf", endpoint="http://127.0.0.1:9")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:9000", "http://[::1]/", "https://10.0.0.1", "http://169.254.169.254", "http://minio.example"],
)
def test_an_endpoint_inside_is_refused_unless_the_operator_named_it(endpoint: str) -> None:
    gate = Gate(resolve=lambda *_: ["192.168.0.7"])
    with pytest.raises(Refused):
        _uris("shelf", endpoint=endpoint, gate=gate)


def test_a_public_endpoint_without_https_is_refused_because_its_name_may_lead_inside_later() -> None:
    with pytest.raises(Refused, match="GROUNDWORK_SOURCES__S3_ENDPOINT"):
        _uris("shelf", endpoint="http://s3.example", gate=Gate(resolve=lambda *_: ["8.8.8.8"]))


def test_the_operators_endpoint_is_taken_as_it_is(shelf: Bucket) -> None:
    shelf.put("a.md", b"x")
    settings = {"s3_endpoint": shelf.endpoint, "allow_private_addresses": False}
    assert len(_uris(shelf.name, settings=settings, gate=Gate())) == 1
    assert len(_uris(shelf.name, settings=settings, gate=Gate(), endpoint=shelf.endpoint)) == 1


@pytest.mark.parametrize("endpoint", ["file:///x", "minio:9000", "https://user:secret@minio.example"])
def test_what_is_no_endpoint_is_said_so(endpoint: str) -> None:
    said = "one with a password in it is not taken" if "@" in endpoint else "not the address of an S3 server"
    with pytest.raises((Invalid, ValidationError), match=said):
        _uris("shelf", endpoint=endpoint)
