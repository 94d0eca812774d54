"""Everything about identity in one hand, as the faces use it."""

from dataclasses import dataclass, field

from groundwork.access.audit import log
from groundwork.access.audit.log import Deed
from groundwork.access.credentials.keys import Keys, NewKey
from groundwork.access.credentials.tokens import Tokens
from groundwork.access.federation.sign_on import SignOn
from groundwork.access.gate import Gate
from groundwork.access.limits import Limiter
from groundwork.access.maintenance import Maintenance
from groundwork.access.people.login import Login
from groundwork.access.people.passwords import Passwords
from groundwork.access.people.users import People
from groundwork.access.report.report import SecurityReport
from groundwork.access.scope import SCOPES, Caller
from groundwork.settings import Settings
from groundwork.store.database import Database

_FIRST = "admin"


@dataclass(frozen=True)
class Welcome:
    """What is shown once, when an installation starts for the first time."""

    name: str
    password: str = field(repr=False)
    key: str = field(repr=False)


class Access:
    """People, keys, tokens, the gate they pass, and the limits they are held to."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        passwords = Passwords()
        self.people = People(database, passwords)
        self.keys = Keys(database, self.people)
        self.tokens = Tokens(database, settings.auth.token_minutes)
        self.login = Login(database, passwords)
        self.sign_on = SignOn(database, self.tokens, settings.auth)
        self.gate = Gate(database, self.tokens, self.people)
        self.limiter = Limiter(settings.limits, settings.cache.redis_url)
        self.maintenance = Maintenance(database)
        self.report = SecurityReport(database, settings)

    async def welcome(self) -> Welcome | None:
        """The first admin and a first key of an installation that has nobody; None when there is somebody."""
        by = Caller(operator=True, name="first start")
        password = await self.people.add_first(_FIRST, by)
        if password is None:
            return None
        key = await self.keys.create(NewKey("first", SCOPES, _FIRST), by)
        return Welcome(_FIRST, password, key["key"])

    async def close(self) -> None:
        """Gives back what is held outside the database."""
        await self.limiter.close()

    async def record(self, deed: Deed) -> None:
        """Notes in the audit log what a caller did."""
        await log.record(self._database, deed)
