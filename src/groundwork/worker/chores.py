"""Daily chores, by one worker for all: what was kept long enough is forgotten, the ledger gets its next month, and the
security report is made.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from groundwork.access.audit import log as audit
from groundwork.assembly import Platform
from groundwork.errors import GroundworkError
from groundwork.store.runner import Runner

log = structlog.get_logger()

DAY_SECONDS = 86400.0
_AFTER_FAULT_SECONDS = 3600.0
_OTHERS_TURN_SECONDS = 60.0
_DUTY = 0x63686F72


async def keep(platform: Platform, alive: Runner) -> None:
    """Does the chores at once and then daily, for ever; while another worker does them, looks whether it still lives."""
    while True:
        if not await alive.takes_on(_DUTY):
            await asyncio.sleep(_OTHERS_TURN_SECONDS)
            continue
        await asyncio.sleep(DAY_SECONDS if await do(platform) else _AFTER_FAULT_SECONDS)


async def do(platform: Platform) -> bool:
    """Does each of them, whatever becomes of the others; whether all went well."""
    access, days = platform.access, platform.settings.auth.audit_days
    chores: dict[str, Callable[[], Awaitable[object]]] = {
        "audit log": lambda: audit.prune(platform.database, days, "worker"),
        "failed logins": access.login.forget_old_failures,
        "ended tokens": access.tokens.forget_expired,
        "conversations": platform.sessions.forget_idle,
        "months of the ledger": platform.budgets.make_months,
        "security report": access.report.run,
    }
    return all([await _try(name, chore) for name, chore in chores.items()])


async def _try(name: str, chore: Callable[[], Awaitable[object]]) -> bool:
    try:
        await chore()
    except Exception as error:  # whatever it is: jobs must go on
        reason = error.message if isinstance(error, GroundworkError) else repr(error)
        log.warning("a daily chore failed; it is tried again in an hour", chore=name, reason=reason)
        return False
    return True
