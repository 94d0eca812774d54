"""Looks at accounts, keys, secrets, the certificate and the audit log; what it finds is kept for metrics as well."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from groundwork.access import records as access
from groundwork.access.audit import log as audit
from groundwork.access.audit import records as audit_records
from groundwork.access.audit.log import Verdict
from groundwork.access.people import records as people
from groundwork.access.report import findings, records
from groundwork.access.report.certificate import expires_at
from groundwork.access.report.findings import RANK, Accounts, Finding
from groundwork.clock import utc_now
from groundwork.settings import Settings
from groundwork.store.database import Database
from groundwork.telemetry import textfile

log = structlog.get_logger()

_LOGIN_DAYS = 30
_DAY = 86400.0


@dataclass(frozen=True)
class SecurityReport:
    """Makes the report."""

    database: Database
    settings: Settings

    async def run(self) -> dict[str, Any]:
        """Looks at everything, and leaves the figures where Prometheus reads them."""
        now, auth = utc_now(), self.settings.auth
        failed = await audit_records.count_since(self.database, "login_failed", now - timedelta(days=_LOGIN_DAYS))
        ages = [(name, _days(now - at)) for name, at in await records.signing_secrets(self.database)]
        file = self.settings.http.tls_certificate
        days_left, reason = await asyncio.to_thread(_days_left, file, now)
        found = [
            findings.failed_logins(failed, min(_LOGIN_DAYS, auth.audit_days)),
            *findings.of_accounts(await self._accounts(now)),
            *findings.of_keys(await records.live_keys(self.database), now),
            findings.of_secrets(ages, auth.secret_max_age_days),
            findings.of_certificate(str(file or ""), days_left, reason, auth.certificate_warn_days),
            findings.of_audit(await self._verified()),
            findings.of_collections(
                await records.open_collections(self.database), self.settings.environment == "production"
            ),
            findings.of_maintenance(await access.maintenance(self.database), now),
        ]
        body = {
            "checked_at": now.isoformat(),
            "severity": max(found, key=lambda each: RANK[each.severity]).severity,
            "signing_secret_age_days": max((round(age, 2) for _, age in ages), default=None),
            "certificate_days_left": round(days_left, 2) if days_left is not None else None,
            "findings": [each.body() for each in found],
        }
        await asyncio.to_thread(_keep, self.settings.data_dir / "metrics" / "security.prom", body, failed, found)
        return body

    async def _verified(self) -> Verdict:
        """Looked at twice before tampering is told: while old entries are forgotten it may seem as if some were missing."""
        verdict = await audit.verify(self.database)
        return verdict if verdict.broken_at is None else await audit.verify(self.database)

    async def _accounts(self, now: datetime) -> Accounts:
        return Accounts(
            await people.count_by_status(self.database),
            await records.locked(self.database),
            await records.admins(self.database),
            await people.idle_since(self.database, now - timedelta(days=30)),
            await people.idle_since(self.database, now - timedelta(days=90)),
        )


def _days(span: timedelta) -> float:
    return span.total_seconds() / _DAY


def _days_left(file: Path | None, now: datetime) -> tuple[float | None, str]:
    """Days until the certificate ends, and why that cannot be told."""
    if file is None:
        return None, ""
    try:
        return _days(expires_at(file) - now), ""
    except OSError as error:
        return None, error.strerror or str(error)
    except ValueError as error:
        return None, str(error)


def _keep(file: Path, body: dict[str, Any], failed: int, found: list[Finding]) -> None:
    """A disk that takes nothing must not keep the report from who asks for it."""
    try:
        textfile.write(file, _metrics(body, failed, found))
    except OSError as error:
        log.warning("the figures of the security report could not be written", file=str(file), reason=error.strerror)


def _metrics(body: dict[str, Any], failed: int, found: list[Finding]) -> list[str]:
    lines = textfile.gauge("rag_failed_logins_30d", "Failed logins in the last 30 days.", {"": failed})
    if (age := body["signing_secret_age_days"]) is not None:
        lines += textfile.gauge("rag_secret_age_days", "Age of the oldest secret in use.", {'kind="signing"': age})
    if (left := body["certificate_days_left"]) is not None:
        lines += textfile.gauge("rag_certificate_expiry_days", "Days until the TLS certificate expires.", {"": left})
    by_severity = {f'severity="{name}"': sum(each.severity == name for each in found) for name in RANK}
    lines += textfile.gauge("rag_security_findings", "What the security report looks at, by severity.", by_severity)
    at = datetime.fromisoformat(body["checked_at"]).timestamp()
    return lines + textfile.gauge(
        "rag_security_report_last_run_timestamp_seconds", "When the security report was made.", {"": round(at, 3)}
    )
