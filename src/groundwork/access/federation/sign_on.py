"""Signing in with the organisation's own provider: OpenID Connect, authorization code flow with PKCE."""

from dataclasses import dataclass

from groundwork.access.audit import log
from groundwork.access.credentials.tokens import Tokens
from groundwork.access.federation import id_token, ticket
from groundwork.access.federation.accounts import Accounts
from groundwork.access.federation.person import Person, person_of
from groundwork.access.federation.provider import Provider
from groundwork.access.people.login import SignedIn
from groundwork.access.scope import Caller
from groundwork.errors import NotFound, Refused, Unauthenticated
from groundwork.settings import AuthSettings
from groundwork.store.database import Database


@dataclass(frozen=True)
class Answer:
    """What a browser brings back from the provider."""

    state: str | None
    code: str | None
    error: str | None
    sealed: str | None
    """The ticket it was given when it left."""


class SignOn:
    """The way in through the provider, where one is set."""

    def __init__(self, database: Database, tokens: Tokens, settings: AuthSettings) -> None:
        self._database = database
        self._tokens = tokens
        self._settings = settings
        self._provider = Provider(settings)
        self._accounts = Accounts(database, settings.oidc_default_role)

    async def begin(self, redirect_uri: str) -> tuple[str, str]:
        """Where to send a browser, and the ticket it has to bring back.

        Raises NotFound where no provider is set, Unavailable when it does not answer.
        """
        self._insist()
        fresh = ticket.new_ticket(redirect_uri)
        return await self._provider.sign_in_url(fresh), await ticket.seal(self._tokens, fresh)

    async def finish(self, answer: Answer, address: str) -> SignedIn:
        """Who it is; their account is made when they have none.

        Raises NotFound where no provider is set, Unauthenticated when nothing was proved, Refused for somebody who may not
        sign in, Unavailable when the provider does not answer.
        """
        self._insist()
        try:
            return await self._accounts.sign_in(await self._prove(answer), address)
        except (Unauthenticated, Refused) as error:
            account = error.details.get("account")
            by = Caller(name=f"user:{account}" if account else "unknown", address=address)
            deed = by.deed("login_failed", str(account or "unknown"), via="oidc", reason=error.message)
            await log.record(self._database, deed)
            raise

    async def _prove(self, answer: Answer) -> Person:
        held = await ticket.unseal(self._tokens, answer.sealed, answer.state)
        if answer.error is not None or not answer.code:
            said = "".join(each for each in answer.error or "no code" if each.isascii() and each.isprintable())[:80]
            raise Unauthenticated(f"The sign-in provider let nobody in ({said}). Begin again at /auth/oidc/login.")
        granted = await self._provider.redeem(answer.code, held)
        return person_of(await id_token.proved(granted, self._provider, held.nonce), self._settings)

    def _insist(self) -> None:
        if self._settings.oidc_issuer is None:
            raise NotFound("Single sign-on is not set up here: sign in with name and password at /auth/token.")
