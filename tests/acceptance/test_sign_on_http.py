"""Single sign-on over HTTP: a browser goes to the provider, comes back, and holds a token."""

import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from plugins.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider, serve_openid
from plugins.service import Service, command, command_json, service

COOKIE = "groundwork_oidc"


def _settings(provider: OpenIDProvider) -> dict[str, str]:
    return {
        "AUTH__OIDC_ISSUER": provider.url,
        "AUTH__OIDC_CLIENT_ID": CLIENT_ID,
        "AUTH__OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "AUTH__OIDC_ROLES": '{"docs": "reviewer"}',
        "AUTH__OIDC_ROLE_CLAIM": "groups",
    }


def _new_place() -> Path:
    return Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data"


@pytest.fixture(scope="module")
def running() -> Generator[tuple[Service, OpenIDProvider, Path]]:
    data_dir = _new_place()
    with serve_openid() as provider, service(data_dir, **_settings(provider), LIMITS__LOGIN_PER_MINUTE="0") as serving:
        yield serving, provider, data_dir


@pytest.fixture
def browser(running: tuple[Service, OpenIDProvider, Path]) -> Generator[httpx.Client]:
    with httpx.Client(base_url=running[0].url, follow_redirects=True) as opened:
        yield opened


def _back(browser: httpx.Client) -> str:
    """The address the provider sends the browser back to."""
    at_provider = browser.get("/auth/oidc/login", follow_redirects=False).headers["Location"]
    return browser.get(at_provider, follow_redirects=False).headers["Location"]


def test_a_browser_is_led_through(running: tuple[Service, OpenIDProvider, Path], browser: httpx.Client) -> None:
    serving, provider, data_dir = running
    provider.is_("1", "grace@example.org", groups=["docs"])
    reply = browser.get("/auth/oidc/login")
    assert (reply.status_code, [each.status_code for each in reply.history]) == (200, [302, 302])
    assert set(reply.json()) == {"access_token", "token_type", "expires_in"}
    assert (reply.json()["token_type"], reply.json()["expires_in"]) == ("bearer", 1800)
    assert reply.headers["Cache-Control"] == "no-store"
    assert COOKIE not in browser.cookies, "good once"
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    me = serving.call("GET", "/auth/me", headers=headers).body
    assert (me["user"], me["roles"]) == ("grace@example.org", ["reviewer"])
    assert serving.call("POST", "/auth/logout", headers=headers).status == 204
    listed = command_json(data_dir, "audit", "list")["items"]
    logins = [each for each in listed if each["action"] == "login" and each["subject"] == "grace@example.org"]
    assert [each["address"] for each in logins] == ["127.0.0.1"]


def test_what_leaves_with_the_browser(running: tuple[Service, OpenIDProvider, Path], browser: httpx.Client) -> None:
    serving, provider, _ = running
    reply = browser.get("/auth/oidc/login", follow_redirects=False)
    assert reply.status_code == 302
    place = urlsplit(reply.headers["Location"])
    asked = {name: values[0] for name, values in parse_qs(place.query).items()}
    assert f"{place.scheme}://{place.netloc}{place.path}" == f"{provider.url}/authorize"
    assert asked["redirect_uri"] == f"{serving.url}/auth/oidc/callback"
    assert (asked["scope"], asked["code_challenge_method"]) == ("openid email profile", "S256")
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    words = reply.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "Max-Age=600", "Path=/auth/oidc", "SameSite=lax"} <= set(words)
    assert "Secure" not in words
    assert CLIENT_SECRET not in reply.headers["Location"] + reply.headers["Set-Cookie"]


def test_only_the_browser_that_left_comes_back(
    running: tuple[Service, OpenIDProvider, Path], browser: httpx.Client
) -> None:
    running[1].is_("2", "ada@example.org")
    back = _back(browser)
    with httpx.Client(base_url=running[0].url) as other:
        assert other.get(back).status_code == 401, "no cookie"
        _back(other)
        assert other.get(back).status_code == 401, "a cookie of another sign-in"
    wrong = browser.get(back.replace("state=", "state=x"))
    assert wrong.status_code == 401
    assert wrong.headers["Content-Type"] == "application/problem+json"
    assert "/auth/oidc/login" in wrong.json()["detail"]
    assert browser.get("/auth/oidc/callback").status_code == 401
    assert browser.get(back).status_code == 200


def test_somebody_disabled_is_refused(running: tuple[Service, OpenIDProvider, Path], browser: httpx.Client) -> None:
    _, provider, data_dir = running
    provider.is_("3", "bob@example.org")
    assert browser.get("/auth/oidc/login").status_code == 200
    assert command(data_dir, "users", "disable", "bob@example.org").returncode == 0
    refused = browser.get("/auth/oidc/login")
    assert (refused.status_code, refused.json()["kind"]) == (403, "refused")
    provider.is_("4", "carol@example.org", verified=False)
    assert browser.get("/auth/oidc/login").status_code == 403
    people = command_json(data_dir, "users", "list")["items"]
    assert "carol@example.org" not in {each["name"] for each in people}


def test_a_token_that_proves_nothing_and_a_provider_that_fails(
    running: tuple[Service, OpenIDProvider, Path], browser: httpx.Client
) -> None:
    provider = running[1]
    provider.is_("5", "eve@example.org")
    for sign in (provider.unsigned, provider.signed_with_public_key):
        provider.sign = sign
        assert browser.get("/auth/oidc/login").status_code == 401
    provider.sign, provider.failing = None, "/token"
    failed = browser.get("/auth/oidc/login")
    assert (failed.status_code, "Retry-After" in failed.headers) == (503, True)
    assert provider.url in failed.json()["detail"]
    provider.failing = ""
    provider.rotate()
    assert browser.get("/auth/oidc/login").status_code == 200


def test_behind_a_proxy_the_cookie_is_secure_and_logins_are_limited() -> None:
    with serve_openid() as provider:
        more = {"HTTP__PUBLIC_URL": "https://docs.example.org/gw", "LIMITS__LOGIN_PER_MINUTE": "3"}
        with service(_new_place(), **_settings(provider), **more) as serving, httpx.Client() as browser:
            replies = [browser.get(f"{serving.url}/auth/oidc/login") for _ in range(3)]
            assert [each.status_code for each in replies] == [302, 302, 302]
            asked = parse_qs(urlsplit(replies[0].headers["Location"]).query)
            assert asked["redirect_uri"] == ["https://docs.example.org/gw/auth/oidc/callback"]
            assert {"Secure", "HttpOnly", "Path=/gw/auth/oidc"} <= set(replies[0].headers["Set-Cookie"].split("; "))
            assert browser.get(f"{serving.url}/auth/oidc/login").status_code == 429
            assert browser.get(f"{serving.url}/auth/oidc/callback").status_code == 429


def test_without_a_provider_there_is_no_single_sign_on() -> None:
    with service(_new_place()) as serving:
        for path in ("/auth/oidc/login", "/auth/oidc/callback?code=x&state=y"):
            reply = serving.knowing("").call("GET", path)
            assert (reply.status, reply.headers["Content-Type"]) == (404, "application/problem+json")
            assert "/auth/token" in reply.body["detail"]
