"""Settings of the service that would open it wider than meant, or make no sense, are refused with what to write instead."""

import json

import pytest

from groundwork.errors import Invalid
from groundwork.settings import load_settings


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("CORS_ORIGINS", ["*"], "any web page"),
        ("CORS_ORIGINS", ["https://*.example.org"], "any web page"),
        ("CORS_ORIGINS", ["https://app.example.org/"], "without a path or a slash"),
        ("CORS_ORIGINS", ["app.example.org"], "not an origin"),
        ("CORS_ORIGINS", ["null"], "not an origin"),
        ("ALLOWED_HOSTS", ["https://docs.example.org"], "not a host name"),
        ("ALLOWED_HOSTS", ["docs.example.org:8000"], "not a host name"),
        ("ALLOWED_HOSTS", ["*"], "not a host name"),
        ("TRUSTED_PROXIES", ["10.0.0.1/8"], "has host bits set"),
        ("TRUSTED_PROXIES", ["proxy.example.org"], "10.0.0.0/8"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, values: list[str], says: str
) -> None:
    monkeypatch.setenv(f"GROUNDWORK_HTTP__{name}", json.dumps(values))
    with pytest.raises(Invalid) as raised:
        load_settings()
    assert f"GROUNDWORK_HTTP__{name}" in raised.value.message
    assert says in raised.value.message


def test_settings_that_make_sense_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "CORS_ORIGINS": ["https://app.example.org", "http://localhost:5173", "http://[::1]:5173"],
        "ALLOWED_HOSTS": ["docs.example.org", "[fd00::1]", "10.1.2.3"],
        "TRUSTED_PROXIES": ["10.0.0.0/8", "fd00::/8", "192.0.2.1"],
    }
    for name, values in given.items():
        monkeypatch.setenv(f"GROUNDWORK_HTTP__{name}", json.dumps(values))
    http = load_settings().http
    assert [http.cors_origins, http.allowed_hosts, http.trusted_proxies] == list(given.values())


@pytest.mark.parametrize(("given", "missing"), [("TLS_KEY", "TLS_CERTIFICATE"), ("TLS_CERTIFICATE", "TLS_KEY")])
def test_a_certificate_and_its_key_belong_together(monkeypatch: pytest.MonkeyPatch, given: str, missing: str) -> None:
    monkeypatch.setenv(f"GROUNDWORK_HTTP__{given}", "/etc/groundwork.pem")
    with pytest.raises(Invalid, match=f"GROUNDWORK_HTTP__{missing}"):
        load_settings()


@pytest.mark.parametrize("endpoint", ["https://user:secret@minio.example.org", "minio:9000", "http://[::1", "http://"])
def test_an_endpoint_that_is_no_plain_address_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("GROUNDWORK_SOURCES__S3_ENDPOINT", endpoint)
    with pytest.raises(Invalid, match=r"GROUNDWORK_SOURCES__S3_ENDPOINT: .*plain http") as raised:
        load_settings()
    assert endpoint not in raised.value.message


def test_a_value_that_is_no_json_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDWORK_LLMS__PROVIDERS", '[{"name": "groq", "api_key": "gsk_secret"')
    with pytest.raises(Invalid) as raised:
        load_settings()
    assert "GROUNDWORK_LLMS__PROVIDERS: this is not JSON: Expecting ',' delimiter: line 1" in str(raised.value)
    assert "gsk_secret" not in str(raised.value)
