"""What is looked at, from which number on it is a matter, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from groundwork.access.audit.log import Verdict
from groundwork.store.database import Row

Severity = Literal["ok", "warning", "critical"]
RANK: dict[Severity, int] = {"ok": 0, "warning": 1, "critical": 2}

_MANY_FAILED_LOGINS = 100
_MANY_ADMINS = 5
_KEY_IDLE_DAYS, _KEY_EXPIRES_DAYS, _KEY_UNUSED_DAYS = 90, 14, 30
_CERTIFICATE_CRITICAL_DAYS = 7
_MOST_NAMES = 20


@dataclass(frozen=True)
class Finding:
    """Something that was looked at."""

    name: str
    severity: Severity
    count: int
    what: str
    """What is counted, as in "keys without expiry"."""
    which: Sequence[str]
    """The first of them."""
    next: str
    """What to do about it."""

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "name": self.name,
            "severity": self.severity,
            "count": self.count,
            "what": self.what,
            "which": list(self.which[:_MOST_NAMES]),
            "next": self.next,
        }


def _each(name: str, what: str, which: Sequence[str], cure: str, severity: Severity = "warning") -> Finding:
    """A matter as soon as there is one."""
    return Finding(name, severity if which else "ok", len(which), what, which, cure)


def failed_logins(count: int, days: int) -> Finding:
    """How often somebody failed to sign in."""
    return Finding(
        "failed_logins",
        "warning" if count >= _MANY_FAILED_LOGINS else "ok",
        count,
        f"failed logins in {days} days",
        (),
        "Look where they come from: groundwork audit list --action login_failed",
    )


@dataclass(frozen=True)
class Accounts:
    """Accounts, as the report counts them."""

    by_status: dict[str, int]
    locked: Sequence[str]
    admins: Sequence[str]
    idle_30: Sequence[str]
    idle_90: Sequence[str]


def of_accounts(seen: Accounts) -> list[Finding]:
    """What there is to say of accounts."""
    admins = len(seen.admins)
    appoint = "Make somebody an admin: groundwork users create-admin"
    reduce = "Let fewer people be admins: groundwork users set-role NAME reviewer"
    severity: Severity = "ok" if 1 <= admins <= _MANY_ADMINS else "warning"
    return [
        Finding(
            "users_active",
            "ok",
            seen.by_status["active"],
            "active users",
            (),
            "See who they are: groundwork users list",
        ),
        Finding(
            "users_disabled",
            "ok",
            seen.by_status["disabled"],
            "disabled users",
            (),
            "Erase those who will not come back: groundwork users erase NAME",
        ),
        _each(
            "users_locked",
            "users locked after failed logins",
            seen.locked,
            "Ask them whether it was them; then: groundwork users unlock NAME",
        ),
        Finding(
            "users_inactive_30_days",
            "ok",
            len(seen.idle_30),
            "users who did not sign in for 30 days",
            seen.idle_30,
            "Ask whether they still need their account.",
        ),
        _each(
            "users_inactive_90_days",
            "users who did not sign in for 90 days",
            seen.idle_90,
            "Shut them out: groundwork users disable NAME",
        ),
        Finding("admins", severity, admins, "admins", seen.admins, reduce if admins else appoint),
    ]


def of_keys(rows: Sequence[Row], now: datetime) -> list[Finding]:
    """What there is to say of keys that hold: rows of name, prefix, and moments of making, expiry and last use."""

    def those(wanted: list[Row]) -> list[str]:
        return [f"{name} ({prefix})" for name, prefix, *_ in wanted]

    idle_since, expires_by = now - timedelta(days=_KEY_IDLE_DAYS), now + timedelta(days=_KEY_EXPIRES_DAYS)
    never_used = [row for row in rows if row[4] is None]
    long_unused = any(row[2] < now - timedelta(days=_KEY_UNUSED_DAYS) for row in never_used)
    revoke = "Revoke what nobody needs: groundwork keys revoke KEY"
    return [
        _each(
            "keys_without_expiry",
            "keys without expiry",
            those([row for row in rows if row[3] is None]),
            "Make keys that end, groundwork keys create NAME --days 90, and revoke these: groundwork keys revoke KEY",
        ),
        _each("keys_never_used", "keys never used", those(never_used), revoke, "warning" if long_unused else "ok"),
        _each(
            "keys_unused_90_days",
            f"keys not used for {_KEY_IDLE_DAYS} days",
            those([row for row in rows if row[4] is not None and row[4] < idle_since]),
            revoke,
        ),
        _each(
            "keys_expiring_14_days",
            f"keys that expire within {_KEY_EXPIRES_DAYS} days",
            those([row for row in rows if row[3] is not None and row[3] <= expires_by]),
            "Make their successors and hand them over: groundwork keys create NAME --days 90",
        ),
    ]


def of_secrets(ages: Sequence[tuple[str, float]], most_days: int) -> Finding:
    """Signing secrets by id and age in days."""
    old = [(name, age) for name, age in ages if age > most_days]
    return _each(
        "signing_secrets_old",
        f"signing secrets older than {most_days} days",
        [f"{name}: {age:.0f} days" for name, age in old],
        "Sign with a new one; nobody is signed out: groundwork secrets rotate",
        "critical" if any(age > 2 * most_days for _, age in old) else "warning",
    )


def of_certificate(file: str, days_left: float | None, reason: str, warn_days: int) -> Finding:
    """The certificate in `file`, empty when there is none; `reason` says why it cannot be read."""
    which: list[str] = []
    severity: Severity = "warning"
    if reason:
        which, severity = [f"{file} cannot be read: {reason}"], "critical"
    elif days_left is not None and days_left <= warn_days:
        which = [f"{file} has expired" if days_left <= 0 else f"{file}: {days_left:.1f} days left"]
        severity = "critical" if days_left <= _CERTIFICATE_CRITICAL_DAYS else "warning"
    return _each(
        "certificates_near_expiry",
        f"certificates that expire within {warn_days} days",
        which,
        "Put a new certificate and key in their place; the service takes them up without a restart.",
        severity,
    )


def of_audit(verdict: Verdict) -> Finding:
    """The chain of the audit log."""
    broken = [] if verdict.broken_at is None else [f"entry {verdict.broken_at}: {verdict.reason}"]
    return _each(
        "audit_chain",
        "breaks in the chain of the audit log",
        broken,
        "Somebody has tampered with it. Compare it with an export you kept elsewhere: groundwork audit verify",
        "critical",
    )


def of_collections(names: Sequence[str], in_production: bool) -> Finding:
    """Collections that everyone may read."""
    return _each(
        "collections_open",
        "collections everyone may read",
        names,
        "Name who may read what is not for all: groundwork collections access NAME --role reviewer",
        "warning" if in_production else "ok",
    )


def of_maintenance(row: Row | None, now: datetime) -> Finding:
    """Maintenance mode: since when, why and by whom."""
    left_on = row is not None and row[0] < now - timedelta(days=1)
    return _each(
        "maintenance_left_on",
        "maintenance modes left on for more than a day",
        [f"since {row[0]:%Y-%m-%d %H:%M} UTC by {row[2]}: {row[1]}"] if row is not None and left_on else [],
        "Turn it off when the work is done: groundwork maintenance off",
    )
