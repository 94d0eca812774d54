"""The security report: every figure is what was set up, and says what to do; with it, counts and sizes for the operator."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509

from groundwork.access.audit import log
from groundwork.access.credentials.keys import NewKey
from groundwork.access.report.certificate import expires_at
from groundwork.access.scope import OPERATOR, Readers, set_readers
from groundwork.assembly import Platform
from groundwork.clock import utc_now
from groundwork.errors import Unauthenticated
from groundwork.health.stats import stats
from groundwork.settings import AuthSettings, HttpSettings, Settings
from groundwork.store.database import Database
from plugins import certificates
from plugins.installation import Run, ingest, on_platform, write
from plugins.service import command, command_json, service

PASSWORD = "correct horse battery"


async def _report(platform: Platform) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (await platform.access.report.run())["findings"]}


def _of(finding: dict[str, Any]) -> tuple[str, int, list[str]]:
    return finding["severity"], finding["count"], finding["which"]


def _change(database_url: str, *statements: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement)  # type: ignore[arg-type]


def test_a_new_installation_lacks_an_admin_only(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        body = await platform.access.report.run()
        assert body["severity"] == "warning"
        assert [each["name"] for each in body["findings"] if each["severity"] != "ok"] == ["admins"]
        assert {each["name"]: each["count"] for each in body["findings"] if each["count"]} == {}
        assert all(each["next"] for each in body["findings"])
        await platform.access.people.add("root", "admin", PASSWORD, OPERATOR)
        assert (await platform.access.report.run())["severity"] == "ok"

    run(inside)


def test_failed_logins_of_thirty_days_are_counted(run: Run[object], database_url: str) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.people.add("root", "admin", PASSWORD, OPERATOR)
        for n in range(3):
            with pytest.raises(Unauthenticated):
                await platform.access.login.sign_in(f"nobody{n}", "some guess at it", "192.0.2.1")
        assert _of((await _report(platform))["failed_logins"]) == ("ok", 3, [])
        _change(
            database_url,
            "ALTER TABLE audit_log DISABLE TRIGGER ALL",
            "UPDATE audit_log SET at = now() - interval '31 days' WHERE id = 2",
        )
        assert (await _report(platform))["failed_logins"]["count"] == 2
        for n in range(98):
            await log.record(platform.database, log.Deed("unknown", "login_failed", f"guess {n}"))
        assert (await _report(platform))["failed_logins"]["severity"] == "warning"

    run(inside)


def test_failed_logins_say_how_far_back_the_log_goes(settings: Settings) -> None:
    async def inside(platform: Platform) -> None:
        assert (await _report(platform))["failed_logins"]["what"] == "failed logins in 7 days"

    on_platform(settings.model_copy(update={"auth": AuthSettings(audit_days=7)}), inside)


def test_accounts_are_counted_by_what_became_of_them(run: Run[object], database_url: str) -> None:
    async def inside(platform: Platform) -> None:
        people = platform.access.people
        await people.add("root", "admin", PASSWORD, OPERATOR)
        for name in ("ada", "bob", "cyd", "dan", "eve"):
            await people.add(name, "member", PASSWORD, OPERATOR)
        await people.set_status("bob", "disabled", OPERATOR)
        _change(
            database_url,
            "UPDATE users SET created_at = now() - interval '200 days'",
            "UPDATE users SET last_login_at = now() - interval '29 days' WHERE name IN ('root', 'ada')",
            "UPDATE users SET last_login_at = now() - interval '31 days' WHERE name = 'cyd'",
            "UPDATE users SET last_login_at = now() - interval '91 days' WHERE name = 'dan'",
            "UPDATE users SET last_login_at = now() WHERE name = 'eve'",
            "INSERT INTO login_failures VALUES ('account', 'eve', 9, now(), now() + interval '1 minute'), "
            "('account', 'ada', 9, now(), now() - interval '1 minute'), "
            "('account', 'nobody', 9, now(), now() + interval '1 minute')",
        )
        found = await _report(platform)
        assert _of(found["users_active"]) == ("ok", 4, [])
        assert _of(found["users_disabled"]) == ("ok", 1, [])
        assert _of(found["users_locked"]) == ("warning", 1, ["eve"])
        assert _of(found["users_inactive_30_days"]) == ("ok", 2, ["cyd", "dan"])
        assert _of(found["users_inactive_90_days"]) == ("warning", 1, ["dan"])
        assert _of(found["admins"]) == ("ok", 1, ["root"])
        for name in ("ada", "cyd", "dan", "eve"):
            await people.set_role(name, "admin", OPERATOR)
        assert (await _report(platform))["admins"]["severity"] == "ok"
        await people.add("fay", "admin", PASSWORD, OPERATOR)
        assert (await _report(platform))["admins"]["severity"] == "warning"

    run(inside)


def test_keys_that_are_risky_or_forgotten_are_named(run: Run[object], database_url: str) -> None:
    async def inside(platform: Platform) -> None:
        soon, later = utc_now() + timedelta(days=13), utc_now() + timedelta(days=100)
        ends = {"endless": None, "soon": soon, "idle": later, "new": later, "revoked": None, "expired": soon}
        made = {
            name: (await platform.access.keys.create(NewKey(name, ["search"], expires_at=at), OPERATOR))["prefix"]
            for name, at in ends.items()
        }
        await platform.access.keys.revoke("revoked", OPERATOR)
        _change(
            database_url,
            "UPDATE api_keys SET last_used_at = now() - interval '1 day' WHERE name <> 'new'",
            "UPDATE api_keys SET last_used_at = now() - interval '91 days' WHERE name = 'idle'",
            "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE name = 'expired'",
        )
        found = await _report(platform)

        def shown(name: str) -> list[str]:
            return [f"{name} ({made[name]})"]

        assert _of(found["keys_without_expiry"]) == ("warning", 1, shown("endless"))
        assert _of(found["keys_never_used"]) == ("ok", 1, shown("new"))
        assert _of(found["keys_unused_90_days"]) == ("warning", 1, shown("idle"))
        assert _of(found["keys_expiring_14_days"]) == ("warning", 1, shown("soon"))
        _change(database_url, "UPDATE api_keys SET created_at = now() - interval '31 days' WHERE name = 'new'")
        assert (await _report(platform))["keys_never_used"]["severity"] == "warning"
        assert (await stats(platform.database, platform.jobs, platform.uploads.originals))["keys"] == {
            "active": 4,
            "expired": 1,
            "revoked": 1,
        }

    run(inside)


@pytest.mark.parametrize(("days", "severity"), [(29, "ok"), (31, "warning"), (61, "critical")])
def test_an_old_signing_secret_is_to_be_changed(
    settings: Settings, database_url: str, days: int, severity: str
) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.tokens.rotate(OPERATOR)
        _change(database_url, f"UPDATE signing_secrets SET created_at = now() - interval '{days} days'")
        found = (await _report(platform))["signing_secrets_old"]
        assert (found["severity"], found["count"]) == (severity, 0 if severity == "ok" else 1)
        assert f'rag_secret_age_days{{kind="signing"}} {days}.0' in _metrics(platform)
        await platform.access.tokens.rotate(OPERATOR)
        assert (await _report(platform))["signing_secrets_old"]["severity"] == "ok"
        assert 'rag_secret_age_days{kind="signing"} 0.0\n' in _metrics(platform)

    on_platform(settings.model_copy(update={"auth": AuthSettings(secret_max_age_days=30)}), inside)


def _metrics(platform: Platform) -> str:
    return (platform.settings.data_dir / "metrics" / "security.prom").read_text()


@pytest.mark.parametrize(
    ("days", "severity", "says"),
    [
        (15, "ok", ""),
        (13.5, "warning", "13.5 days left"),
        (6, "critical", "6.0 days left"),
        (-2, "critical", "expired"),
    ],
)
def test_a_certificate_near_its_end_is_told(
    settings: Settings, tmp_path: Path, days: float, severity: str, says: str
) -> None:
    certificate, key = certificates.write(tmp_path, "service", days)
    http = HttpSettings(tls_certificate=certificate, tls_key=key)
    auth = AuthSettings(certificate_warn_days=14)

    async def inside(platform: Platform) -> None:
        body = await platform.access.report.run()
        found = next(each for each in body["findings"] if each["name"] == "certificates_near_expiry")
        assert (found["severity"], found["count"]) == (severity, 1 if says else 0)
        assert all(says in each and str(certificate) in each for each in found["which"])
        assert body["certificate_days_left"] == pytest.approx(days, abs=0.02)
        assert f"rag_certificate_expiry_days {body['certificate_days_left']}\n" in _metrics(platform)
        certificate.write_text("no certificate")
        broken = (await _report(platform))["certificates_near_expiry"]
        assert broken["severity"] == "critical"
        assert "cannot be read: there is no certificate in it" in broken["which"][0]
        certificate.unlink()
        assert "No such file" in (await _report(platform))["certificates_near_expiry"]["which"][0]
        assert "rag_certificate_expiry_days" not in _metrics(platform)

    on_platform(settings.model_copy(update={"http": http, "auth": auth}), inside)


@pytest.mark.parametrize("days", [0.5, 400, 365 * 30, 365 * 200])
def test_the_end_of_a_certificate_is_what_another_reader_of_certificates_says(tmp_path: Path, days: float) -> None:
    first, _ = certificates.make("first", days=days)
    second, _ = certificates.make("second", days=3)
    file = tmp_path / "chain.pem"
    file.write_bytes(b"Bag attributes: \xff\n" + first + second)
    assert expires_at(file) == x509.load_pem_x509_certificate(first).not_valid_after_utc
    assert expires_at(file) > datetime.now(UTC)


def test_a_damaged_certificate_is_said_to_be_none(tmp_path: Path) -> None:
    pem, _ = certificates.make("cut")
    der = base64.b64decode("".join(pem.decode().splitlines()[1:-1]))
    file = tmp_path / "cut.pem"
    for cut in range(120):
        short = base64.b64encode(der[:cut]).decode()
        file.write_text(f"-----BEGIN CERTIFICATE-----\n{short}\n-----END CERTIFICATE-----\n")
        with pytest.raises(ValueError):
            expires_at(file)


def test_tampering_with_the_audit_log_is_critical(run: Run[object], database_url: str) -> None:
    async def inside(platform: Platform) -> None:
        for n in range(3):
            await log.record(platform.database, log.Deed("tester", "tested", f"thing {n}"))
        assert _of((await _report(platform))["audit_chain"]) == ("ok", 0, [])
        _change(
            database_url,
            "ALTER TABLE audit_log DISABLE TRIGGER ALL",
            "UPDATE audit_log SET actor = 'somebody else' WHERE id = 2",
        )
        body = await platform.access.report.run()
        assert body["severity"] == "critical"
        found = next(each for each in body["findings"] if each["name"] == "audit_chain")
        assert _of(found) == ("critical", 1, ["entry 2: Its content was changed."])
        assert 'rag_security_findings{severity="critical"} 1\n' in _metrics(platform)

    run(inside)


def test_what_only_seemed_to_be_tampering_is_not_told(run: Run[object], monkeypatch: pytest.MonkeyPatch) -> None:
    verify, looked = log.verify, 0

    async def while_old_entries_are_forgotten(database: Database) -> log.Verdict:
        nonlocal looked
        looked += 1
        return log.Verdict(1, "", 2, "Entries are missing here.") if looked == 1 else await verify(database)

    monkeypatch.setattr(log, "verify", while_old_entries_are_forgotten)

    async def inside(platform: Platform) -> None:
        assert (await _report(platform))["audit_chain"]["severity"] == "ok"

    run(inside)


@pytest.mark.parametrize(("environment", "severity"), [("development", "ok"), ("production", "warning")])
def test_collections_for_everyone_are_named(settings: Settings, environment: str, severity: str) -> None:
    async def inside(platform: Platform) -> None:
        for name in ("open", "closed"):
            await platform.create_collection(name)
        await set_readers(platform.database, "closed", Readers(False, ("admin",)))
        assert _of((await _report(platform))["collections_open"]) == (severity, 1, ["open"])

    on_platform(settings.model_copy(update={"environment": environment}), inside)


def test_maintenance_mode_is_a_matter_after_a_day(run: Run[object], database_url: str) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.maintenance.switch(True, "New disks.", OPERATOR)
        assert _of((await _report(platform))["maintenance_left_on"]) == ("ok", 0, [])
        _change(database_url, "UPDATE maintenance SET since = now() - interval '25 hours'")
        severity, count, which = _of((await _report(platform))["maintenance_left_on"])
        assert (severity, count) == ("warning", 1)
        assert "New disks." in which[0]

    run(inside)


def test_a_folder_that_takes_no_metrics_keeps_nobody_from_the_report(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        (platform.settings.data_dir / "metrics").write_text("not a folder")
        assert (await platform.access.report.run())["findings"]

    run(inside)


def test_counts_and_sizes(run: Run[object], tmp_path: Path) -> None:
    async def counted(platform: Platform) -> dict[str, Any]:
        return await stats(platform.database, platform.jobs, platform.uploads.originals)

    async def inside(platform: Platform) -> None:
        empty = await counted(platform)
        assert {key: empty[key] for key in ("collections", "versions", "chunks", "jobs", "originals_bytes")} == {
            "collections": 0, "versions": 0, "chunks": 0, "jobs": {}, "originals_bytes": 0,
        }  # fmt: skip
        assert empty["users"] == {"active": 0, "disabled": 0, "locked": 0}
        folder = write(
            tmp_path / "docs", {"a.md": "# One\n\nWords.", "b.md": "# Two\n\nMore words.", "c.pdf": "%PDF-1.7 cut"}
        )
        await ingest(platform, folder)
        write(
            tmp_path / "docs",
            {"a.md": "# One\n\nOther words.", "b.md": "# Two\n\nMore words.", "c.pdf": "%PDF-1.7 cut"},
        )
        await ingest(platform, folder)
        await platform.accept_upload("uploads", "d.md", b"# Four")
        job = (await platform.accept_upload("uploads", "e.md", b"# Five!"))["job_id"]
        await platform.jobs.cancel(job)
        await platform.access.people.add("ada", "member", PASSWORD, OPERATOR)
        seen = await counted(platform)
        assert seen["documents"] == {"pending": 2, "ready": 2, "failed": 1}
        assert (seen["collections"], seen["versions"], seen["chunks"]) == (2, 3, 2)
        assert seen["jobs"] == {"waiting": 1, "cancelled": 1}
        assert await platform.jobs.counts() == {"waiting": 1}
        assert seen["users"] == {"active": 1, "disabled": 0, "locked": 0}
        assert seen["originals_bytes"] == len(b"# Four") + len(b"# Five!")
        assert seen["database_bytes"] > 1 << 20

    run(inside)


@pytest.fixture
def told(settings: Settings, database_url: str) -> Callable[..., Any]:
    def ask(*arguments: str) -> Any:
        return command(settings.data_dir, *arguments, DATABASE_URL=database_url)

    return ask


def test_the_report_for_people_programs_and_prometheus(
    settings: Settings, database_url: str, told: Callable[..., Any]
) -> None:
    for name in ("nightly", "weekly"):
        assert told("keys", "create", name, "--scope", "search").returncode == 0
    said = told("security", "report")
    assert said.returncode == 0, said.stderr
    assert "warning        2  keys without expiry: nightly (gw_" in said.stdout
    assert "groundwork keys revoke KEY" in said.stdout
    assert "2 of 16 findings need somebody to look at them." in said.stdout
    file = settings.data_dir / "metrics" / "security.prom"
    text = file.read_text()
    assert "# TYPE rag_failed_logins_30d gauge\nrag_failed_logins_30d 0\n" in text
    assert 'rag_security_findings{severity="warning"} 2\n' in text
    assert "rag_secret_age_days" not in text, "nothing is signed with yet"
    body = command_json(settings.data_dir, "security", "report", DATABASE_URL=database_url)
    assert len(body["findings"]) == 16
    assert "gw_" not in text
    assert list(file.parent.iterdir()) == [file]


def test_over_http_for_admins(settings: Settings, database_url: str) -> None:
    with service(settings.data_dir, DATABASE_URL=database_url) as serving:
        report = serving.call("GET", "/admin/security")
        assert (report.status, report.body["severity"]) == (200, "warning")
        assert {each["name"]: each["count"] for each in report.body["findings"]}["keys_without_expiry"] == 2
        seen = serving.call("GET", "/admin/stats")
        assert (seen.status, seen.body["users"]["active"], seen.body["keys"]["active"]) == (200, 1, 2)
        assert "spend" not in json.dumps(seen.body)
        member = command_json(
            settings.data_dir, "keys", "create", "narrow", "--scope", "ingest", DATABASE_URL=database_url
        )["key"]
        for path in ("/admin/security", "/admin/stats"):
            assert serving.knowing(member).call("GET", path).status == 403
