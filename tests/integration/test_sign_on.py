"""Signing in with an OpenID Connect provider: what is believed, and whose account it opens."""

import time
from collections.abc import Generator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from groundwork.access.audit import log
from groundwork.access.credentials.tokens import Tokens
from groundwork.access.federation import ticket
from groundwork.access.federation.sign_on import Answer
from groundwork.access.people.login import SignedIn
from groundwork.access.privacy import everything_about
from groundwork.access.scope import OPERATOR
from groundwork.assembly import Platform
from groundwork.errors import NotFound, Refused, Unauthenticated, Unavailable
from groundwork.settings import AuthSettings, Settings
from plugins.installation import on_platform
from plugins.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider, serve_openid

PASSWORD = "correct horse battery"
BACK = "http://127.0.0.1:1/auth/oidc/callback"


@pytest.fixture
def provider() -> Generator[OpenIDProvider]:
    with serve_openid() as serving:
        serving.is_("7", "Ada@Example.org")
        yield serving


@pytest.fixture
def known(settings: Settings, provider: OpenIDProvider) -> Settings:
    return _knowing(settings, provider)


def _knowing(settings: Settings, provider: OpenIDProvider, **more: Any) -> Settings:
    given = {"oidc_issuer": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": SecretStr(CLIENT_SECRET)}
    return settings.model_copy(update={"auth": AuthSettings.model_validate({**given, **more})})


async def _answer(platform: Platform) -> Answer:
    """What a browser brings back that was sent to the provider."""
    url, sealed = await platform.access.sign_on.begin(BACK)
    async with httpx.AsyncClient() as browser:
        location = (await browser.get(url)).headers["Location"]
    assert location.startswith(BACK)
    said = parse_qs(urlsplit(location).query)
    return Answer(said["state"][0], said["code"][0], None, sealed)


async def _sign_in(platform: Platform) -> SignedIn:
    return await platform.access.sign_on.finish(await _answer(platform), "192.0.2.1")


async def _actions(platform: Platform) -> list[str]:
    return [each["action"] for each in (await log.page(platform.database))["items"]][::-1]


def test_somebody_new_gets_an_account_and_keeps_it(known: Settings, provider: OpenIDProvider) -> None:
    async def inside(platform: Platform) -> None:
        who = await _sign_in(platform)
        assert (who.name, who.role) == ("ada@example.org", "member")
        token = await platform.access.tokens.give(who.user, who.generation)
        caller = await platform.access.gate.identify(None, f"Bearer {token}", "192.0.2.1")
        assert (caller.user, caller.scopes) == ("ada@example.org", {"search", "ask"})
        with pytest.raises(Unauthenticated):  # an account without a password is not opened by one
            await platform.access.login.sign_in("ada@example.org", "", "192.0.2.1")
        provider.is_("7", "ada.lovelace@example.org")
        again = await _sign_in(platform)
        assert (again.user, again.name) == (who.user, "ada@example.org")
        assert await _actions(platform) == ["user_added", "identity_linked", "login", "login_failed", "login"]
        told = await everything_about(platform.database, "ada@example.org", OPERATOR)
        assert [(each["issuer"], each["subject"]) for each in told["identities"]] == [(provider.url, "7")]
        assert provider.asked.count("/.well-known/openid-configuration") == 1
        assert provider.asked.count("/keys") == 1

    on_platform(known, inside)


@pytest.mark.parametrize(
    ("lies", "reason"),
    [
        ({"nonce": "of another sign-on"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"exp": None}, "exp"),
        ({"aud": "another-service"}, "aud"),
        ({"aud": [CLIENT_ID, "another-service"]}, "azp"),
        ({"azp": "another-service"}, "azp"),
        ({"iss": "https://evil.example.org"}, "iss"),
        ({"iat": int(time.time()) + 3600}, "future"),
        ({"sub": None}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "x" * 300}, "nobody"),
        ({"at_hash": "of another token"}, "at_hash"),
    ],
)
def test_an_id_token_has_to_be_right_in_all_it_says(
    known: Settings, provider: OpenIDProvider, lies: dict[str, Any], reason: str
) -> None:
    async def inside(platform: Platform) -> None:
        provider.lies = lies
        with pytest.raises(Unauthenticated, match=reason):
            await _sign_in(platform)
        assert await _actions(platform) == ["login_failed"]
        assert (await platform.access.people.page())["items"] == []
        provider.lies = {}
        assert await _sign_in(platform)

    on_platform(known, inside)


@pytest.mark.parametrize("trick", ["unsigned", "signed_with_public_key", "garbage", "another_key", "changed"])
def test_an_id_token_has_to_be_signed_by_the_provider(known: Settings, provider: OpenIDProvider, trick: str) -> None:
    def changed(claims: dict[str, Any]) -> str:
        header, _, signature = provider.signed(claims).split(".")
        return ".".join((header, provider.signed({**claims, "sub": "1"}).split(".")[1], signature))

    def another_key(claims: dict[str, Any]) -> str:
        other = OpenIDProvider(provider.url, kid=provider.kid)
        return other.signed(claims)

    ways = {"garbage": lambda _: "a.b.c", "another_key": another_key, "changed": changed}

    async def inside(platform: Platform) -> None:
        provider.sign = ways.get(trick) or getattr(provider, trick)
        with pytest.raises(Unauthenticated, match="ID token does not hold"):
            await _sign_in(platform)
        assert (await platform.access.people.page())["items"] == []
        provider.sign = None
        assert await _sign_in(platform)

    on_platform(known, inside)


def test_a_key_that_is_new_is_looked_up_once(known: Settings, provider: OpenIDProvider) -> None:
    async def inside(platform: Platform) -> None:
        await _sign_in(platform)
        provider.rotate()
        assert await _sign_in(platform)
        assert provider.asked.count("/keys") == 2
        shown = provider.keys()
        provider.kid = "never shown"
        provider.keys = lambda: shown  # type: ignore[method-assign]
        with pytest.raises(Unauthenticated, match="no key"):
            await _sign_in(platform)
        assert provider.asked.count("/keys") == 3

    on_platform(known, inside)


def test_a_sign_on_ends_in_the_browser_that_began_it(known: Settings, provider: OpenIDProvider) -> None:
    async def inside(platform: Platform) -> None:
        finish = platform.access.sign_on.finish
        mine, others = await _answer(platform), await _answer(platform)
        wrong = {
            "no cookie": Answer(mine.state, mine.code, None, None),
            "another cookie": Answer(mine.state, mine.code, None, others.sealed),
            "another state": Answer("x", mine.code, None, mine.sealed),
            "no state": Answer(None, mine.code, None, mine.sealed),
            "no code": Answer(mine.state, None, None, mine.sealed),
            "an error": Answer(mine.state, None, "access_denied", mine.sealed),
            "another code": Answer(mine.state, others.code, None, mine.sealed),
            "a forged cookie": Answer(mine.state, mine.code, None, f"{mine.sealed}x"),
        }
        for answer in wrong.values():
            with pytest.raises(Unauthenticated):
                await finish(answer, "192.0.2.1")
        assert (await finish(mine, "192.0.2.1")).name == "ada@example.org"
        with pytest.raises(Unauthenticated):  # the code was good once
            await finish(mine, "192.0.2.1")
        assert (await _actions(platform)).count("login_failed") == len(wrong) + 1

    on_platform(known, inside)


def test_a_cookie_is_no_token_and_does_not_last(known: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside(platform: Platform) -> None:
        _, sealed = await platform.access.sign_on.begin(BACK)
        with pytest.raises(Unauthenticated):
            await platform.access.gate.identify(None, f"Bearer {sealed}", "192.0.2.1")
        tokens: Tokens = platform.access.tokens
        with pytest.raises(Unauthenticated):
            await tokens.unseal("another purpose", sealed)
        monkeypatch.setattr(ticket, "MINUTES", -1.0)
        old = await _answer(platform)
        with pytest.raises(Unauthenticated, match="too old"):
            await platform.access.sign_on.finish(old, "192.0.2.1")

    on_platform(known, inside)


@pytest.mark.parametrize("verified", [False, None, "yes", 1])
def test_an_address_that_is_not_verified_opens_nothing(
    known: Settings, provider: OpenIDProvider, verified: object
) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.people.add("ada@example.org", "admin", PASSWORD, OPERATOR)
        provider.person["email_verified"] = verified
        with pytest.raises(Refused, match="does not vouch"):
            await _sign_in(platform)
        provider.person["email_verified"] = True
        assert (await _sign_in(platform)).role == "admin"
        assert (await _actions(platform))[1:] == ["login_failed", "identity_linked", "login"]

    on_platform(known, inside)


def test_an_account_belongs_to_one_person(known: Settings, provider: OpenIDProvider) -> None:
    async def inside(platform: Platform) -> None:
        first = await _sign_in(platform)
        provider.is_("8", "ada@example.org")
        with pytest.raises(Refused, match="belongs to somebody else"):
            await _sign_in(platform)
        await platform.access.people.erase("ada@example.org", OPERATOR)
        second = await _sign_in(platform)
        assert (second.name, second.user == first.user) == ("ada@example.org", False)

    on_platform(known, inside)


def test_a_name_people_choose_does_not_open_an_account_that_was_there(
    settings: Settings, provider: OpenIDProvider
) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.people.add("root", "admin", PASSWORD, OPERATOR)
        provider.is_("7", "mallory@example.org", preferred_username="Root")
        with pytest.raises(Refused, match="does not show that it is yours"):
            await _sign_in(platform)
        provider.person["preferred_username"] = "mallory"
        assert (await _sign_in(platform)).name == "mallory"
        provider.is_("9", "eve@example.org", preferred_username="two words")
        with pytest.raises(Refused, match="no usable name"):
            await _sign_in(platform)

    on_platform(_knowing(settings, provider, oidc_name_claim="preferred_username"), inside)


def test_somebody_who_is_disabled_stays_out(known: Settings, provider: OpenIDProvider) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.people.add("root", "admin", PASSWORD, OPERATOR)
        await _sign_in(platform)
        await platform.access.people.set_status("ada@example.org", "disabled", OPERATOR)
        with pytest.raises(Refused, match="disabled"):
            await _sign_in(platform)
        failed = (await log.page(platform.database))["items"][0]
        assert (failed["action"], failed["subject"]) == ("login_failed", "ada@example.org")
        assert (failed["address"], failed["details"]["via"]) == ("192.0.2.1", "oidc")

    on_platform(known, inside)


def test_only_allowed_domains_sign_in(settings: Settings, provider: OpenIDProvider) -> None:
    async def inside(platform: Platform) -> None:
        assert await _sign_in(platform)
        for other in ("ada@sub.example.org", "ada@example.org.evil.com", "ada@evilexample.org"):
            provider.is_(other, other)
            with pytest.raises(Refused, match="domain"):
                await _sign_in(platform)

    on_platform(_knowing(settings, provider, oidc_allowed_domains=["EXAMPLE.org"]), inside)


def test_roles_follow_the_provider_where_it_names_one(settings: Settings, provider: OpenIDProvider) -> None:
    roles = {"staff": "member", "docs": "reviewer", "it": "admin"}
    more = {"oidc_role_claim": "groups", "oidc_roles": roles, "oidc_default_role": "reviewer"}

    async def inside(platform: Platform) -> None:
        async def role(groups: Any) -> str:
            provider.person["groups"] = groups
            return (await _sign_in(platform)).role

        assert await role(["unknown", 7]) == "reviewer"
        assert await role("staff") == "member"
        assert await role(["staff", "docs"]) == "reviewer"
        who = await _sign_in(platform)
        token = await platform.access.tokens.give(who.user, who.generation)
        assert await role(["it", "staff"]) == "admin"
        with pytest.raises(Unauthenticated):  # given for another role
            await platform.access.gate.identify(None, f"Bearer {token}", "192.0.2.1")
        assert await role(["staff"]) == "admin", "the last admin stays one"
        await platform.access.people.add("root", "admin", PASSWORD, OPERATOR)
        assert await role(["staff"]) == "member"
        assert await role([]) == "member"

    on_platform(_knowing(settings, provider, **more), inside)


@pytest.mark.parametrize("failing", ["/.well-known/openid-configuration", "/keys", "/token"])
def test_a_provider_that_fails_is_said_so(known: Settings, provider: OpenIDProvider, failing: str) -> None:
    async def inside(platform: Platform) -> None:
        provider.failing = failing
        with pytest.raises(Unavailable, match=provider.url):
            await _sign_in(platform)
        provider.failing = ""
        assert await _sign_in(platform)

    on_platform(known, inside)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ({"issuer": "https://other.example.org"}, "calls itself"),
        ({"token_endpoint": "http://192.0.2.1/token"}, "https"),
        ({"jwks_uri": None}, "https"),
    ],
)
def test_a_provider_that_describes_itself_wrongly_is_not_used(
    known: Settings, provider: OpenIDProvider, description: dict[str, Any], reason: str
) -> None:
    async def inside(platform: Platform) -> None:
        provider.description = description
        with pytest.raises(Unavailable, match=reason):
            await platform.access.sign_on.begin(BACK)

    on_platform(known, inside)


def test_a_provider_that_is_down_or_unset(settings: Settings) -> None:
    with serve_openid() as gone:
        pass

    async def down(platform: Platform) -> None:
        with pytest.raises(Unavailable, match="does not answer"):
            await platform.access.sign_on.begin(BACK)

    async def unset(platform: Platform) -> None:
        with pytest.raises(NotFound):
            await platform.access.sign_on.begin(BACK)
        with pytest.raises(NotFound):
            await platform.access.sign_on.finish(Answer("x", "x", None, "x"), "192.0.2.1")

    on_platform(_knowing(settings, gone), down)
    on_platform(settings, unset)


def test_the_secret_goes_where_the_provider_wants_it(settings: Settings, provider: OpenIDProvider) -> None:
    async def wrong(platform: Platform) -> None:
        with pytest.raises(Unavailable, match="client id and secret"):
            await _sign_in(platform)

    async def right(platform: Platform) -> None:
        assert await _sign_in(platform)

    on_platform(_knowing(settings, provider, oidc_client_secret="wrong"), wrong)
    provider.description = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    on_platform(_knowing(settings, provider), right)


@pytest.mark.parametrize(
    "given",
    [
        {"oidc_issuer": "http://login.example.org", "oidc_client_id": "x"},
        {"oidc_issuer": "https://login.example.org"},
        {"oidc_allowed_domains": ["@example.org"]},
        {"oidc_roles": {"staff": "owner"}},
        {"oidc_scopes": "email"},
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        AuthSettings.model_validate(given)
