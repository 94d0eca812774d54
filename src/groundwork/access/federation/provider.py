"""The OpenID Connect provider: what it says about itself, its keys, and the exchange of a code for tokens."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from groundwork.access.federation.ticket import Ticket
from groundwork.errors import Unauthenticated, Unavailable
from groundwork.settings import AuthSettings, is_safe_address

if TYPE_CHECKING:
    import httpx

_SECONDS = 10.0
_FRESH_SECONDS = 3600.0
_HEADERS = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Description:
    """What is needed of a provider's discovery document."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    basic: bool
    """Whether the secret goes into a header; else into the body."""


@dataclass(frozen=True)
class Granted:
    """What a code was exchanged for."""

    id_token: str
    access_token: str


@dataclass
class Provider:
    """Asks the provider; what it describes is remembered for an hour."""

    settings: AuthSettings
    _description: Description | None = None
    _described: float = 0.0
    _keys: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]], repr=False)
    _fetched: float = float("-inf")

    @property
    def issuer(self) -> str:
        """As the provider calls itself. Only where sign-on is set up."""
        assert self.settings.oidc_issuer is not None
        return self.settings.oidc_issuer

    @property
    def client_id(self) -> str:
        """As the provider calls Groundwork. Only where sign-on is set up."""
        assert self.settings.oidc_client_id is not None
        return self.settings.oidc_client_id

    async def sign_in_url(self, ticket: Ticket) -> str:
        """Where a browser signs in. Raises Unavailable."""
        from authlib.oauth2.client import OAuth2Client  # start-up time

        endpoint = (await self.describe()).authorization_endpoint
        client: Any = OAuth2Client(None, self.client_id, scope=self.settings.oidc_scopes, code_challenge_method="S256")
        url, _ = client.create_authorization_url(
            endpoint,
            state=ticket.state,
            code_verifier=ticket.verifier,
            nonce=ticket.nonce,
            redirect_uri=ticket.redirect_uri,
        )
        return url

    async def describe(self) -> Description:
        """The discovery document. Raises Unavailable when it cannot be had or used."""
        if self._description is None or time.monotonic() - self._described > _FRESH_SECONDS:
            found = await self._json(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
            self._description = self._understood(found)
            self._described = time.monotonic()
        return self._description

    async def keys(self, anew: bool = False) -> list[dict[str, Any]]:
        """The keys it signs with; `anew`: as they are now. Raises Unavailable."""
        if anew or time.monotonic() - self._fetched > _FRESH_SECONDS:
            found = (await self._json((await self.describe()).jwks_uri)).get("keys")
            if not isinstance(found, list):
                raise self._unusable("its list of keys is not one")
            self._keys = [cast("dict[str, Any]", key) for key in cast("list[Any]", found) if isinstance(key, dict)]
            self._fetched = time.monotonic()
        return self._keys

    async def redeem(self, code: str, ticket: Ticket) -> Granted:
        """The tokens for a code. Raises Unauthenticated when the provider does not know it, Unavailable."""
        description = await self.describe()
        response = await self._ask("POST", description.token_endpoint, *self._exchange(description, code, ticket))
        found = self._content(response)
        if response.status_code == 400 and found.get("error") == "invalid_grant":
            raise Unauthenticated("The sign-in provider does not accept the code: begin again at /auth/oidc/login.")
        if response.status_code != 200 or "error" in found:
            said = found.get("error") if isinstance(found.get("error"), str) else f"HTTP {response.status_code}"
            raise self._unusable(f"it refuses this service ({str(said)[:80]}): compare client id and secret with it")
        id_token, access_token = found.get("id_token"), found.get("access_token")
        if not isinstance(id_token, str):
            raise self._unusable("it gave no ID token: GROUNDWORK_AUTH__OIDC_SCOPES has to hold `openid`")
        return Granted(id_token, access_token if isinstance(access_token, str) else "")

    def _exchange(self, description: Description, code: str, ticket: Ticket) -> tuple[str, dict[str, str]]:
        """Body and headers of the request for tokens."""
        from authlib.oauth2.auth import ClientAuth  # start-up time
        from authlib.oauth2.rfc6749 import parameters  # start-up time

        body: Any = parameters.prepare_token_request(
            "authorization_code", "", code=code, redirect_uri=ticket.redirect_uri, code_verifier=ticket.verifier
        )
        secret = self.settings.oidc_client_secret
        method = "none" if secret is None else "client_secret_basic" if description.basic else "client_secret_post"
        auth: Any = ClientAuth(self.client_id, secret.get_secret_value() if secret else "", method)
        try:
            _, headers, body = auth.prepare("POST", description.token_endpoint, dict(_HEADERS), body)
        except UnicodeEncodeError:
            raise self._unusable("the client id or secret holds a character that cannot be sent") from None
        return body, headers

    def _understood(self, found: dict[str, Any]) -> Description:
        if found.get("issuer") != self.issuer:
            raise self._unusable(f"it calls itself {str(found.get('issuer'))[:200]!r}: set that as its address")
        named = [found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        endpoints = [each for each in named if isinstance(each, str) and is_safe_address(each)]
        if len(endpoints) != len(named):
            raise self._unusable("its description names no authorization, token and key address, each with https")
        methods: Any = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        basic = "client_secret_basic" in methods or "client_secret_post" not in methods
        return Description(endpoints[0], endpoints[1], endpoints[2], basic)

    async def _json(self, url: str) -> dict[str, Any]:
        response = await self._ask("GET", url)
        if response.status_code != 200:
            raise self._unusable(f"{url} answers HTTP {response.status_code}")
        return self._content(response)

    def _content(self, response: "httpx.Response") -> dict[str, Any]:
        try:
            found: Any = response.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._unusable(f"{response.url.copy_with(query=None)} answers something that is no JSON object")
        return cast("dict[str, Any]", found)

    async def _ask(
        self, method: str, url: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> "httpx.Response":
        import httpx  # start-up time

        try:
            async with asyncio.timeout(_SECONDS), httpx.AsyncClient(timeout=_SECONDS) as client:
                return await client.request(method, url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(
                f"The sign-in provider at {self.issuer} does not answer ({reason}). Try again in a moment."
            ) from error

    def _unusable(self, reason: str) -> Unavailable:
        return Unavailable(f"The sign-in provider at {self.issuer} cannot be used: {reason}.")
