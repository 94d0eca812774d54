"""Who somebody is and what they may do: accounts, tokens, keys, the audit log, limits, maintenance mode."""

import asyncio
import base64
import json
import random
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import psycopg
import pytest

from groundwork.access.audit import log
from groundwork.access.credentials.keys import NewKey
from groundwork.access.gate import demand
from groundwork.access.scope import OPERATOR, Caller, Readers, readable, set_readers
from groundwork.assembly import Platform, open_platform
from groundwork.clock import utc_now
from groundwork.errors import Conflict, Invalid, NotFound, Refused, TooMany, Unauthenticated
from groundwork.settings import LimitSettings, Settings
from plugins.installation import Run, on_platform

PASSWORD = "correct horse battery"


async def _token(platform: Platform, name: str, address: str = "192.0.2.1") -> str:
    who = await platform.access.login.sign_in(name, PASSWORD, address)
    return await platform.access.tokens.give(who.user, who.generation)


async def _identify(platform: Platform, token: str) -> Caller:
    return await platform.access.gate.identify(None, f"Bearer {token}", "192.0.2.1")


def test_somebody_signs_in_and_may_do_what_their_role_may(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        added = await platform.access.people.add("Ada@Example.org", "member", PASSWORD, OPERATOR)
        assert (added["name"], added["role"], added["status"]) == ("ada@example.org", "member", "active")
        assert "password" not in added
        caller = await _identify(platform, await _token(platform, "ADA@example.org"))
        assert (caller.user, caller.scopes) == ("ada@example.org", {"search", "ask"})
        demand(caller, "ask")
        with pytest.raises(Refused):
            demand(caller, "ingest")
        assert (await platform.access.people.show("ada@example.org"))["last_login_at"]
        with pytest.raises(Conflict):
            await platform.access.people.add("ada@example.org", "member", PASSWORD, OPERATOR)
        made = await platform.access.people.add("bob", "member", None, OPERATOR)
        assert await platform.access.login.sign_in("bob", made["password"], "192.0.2.2")

    run(inside)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "grace.hopper", "x" * 2000])
def test_a_weak_password_is_refused(run: Run[object], password: str) -> None:
    async def inside(platform: Platform) -> None:
        with pytest.raises(Invalid, match="password"):
            await platform.access.people.add("grace.hopper", "member", password, OPERATOR)
        assert (await platform.access.people.page())["items"] == []

    run(inside)


def test_guessing_gets_slower_for_names_that_exist_and_names_that_do_not(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.people.add("ada", "member", PASSWORD, OPERATOR)
        said: dict[str, list[tuple[str, str]]] = {}
        for n, name in enumerate(("ada", "nobody")):
            for guess in range(8):
                with pytest.raises((Unauthenticated, TooMany)) as refusal:
                    await platform.access.login.sign_in(name, f"guess {guess} of many", f"192.0.2.{n}")
                said.setdefault(name, []).append((refusal.type.__name__, str(refusal.value)))
        assert said["ada"] == said["nobody"]
        assert [kind for kind, _ in said["ada"]] == ["Unauthenticated"] * 6 + ["TooMany"] * 2
        with pytest.raises(TooMany):  # the right password does not help while the block lasts
            await platform.access.login.sign_in("ada", PASSWORD, "192.0.2.9")
        assert (await platform.access.people.show("ada"))["status"] == "locked"
        await platform.access.people.unlock("ada", OPERATOR)
        assert await platform.access.login.sign_in("ada", PASSWORD, "192.0.2.9")

    run(inside)


def test_guesses_side_by_side_all_count(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.people.add("ada", "member", PASSWORD, OPERATOR)
        guesses = (platform.access.login.sign_in("ada", f"guess {n} of many", "192.0.2.1") for n in range(15))
        outcomes = [type(each) for each in await asyncio.gather(*guesses, return_exceptions=True)]
        assert set(outcomes) == {Unauthenticated, TooMany}
        assert outcomes.count(Unauthenticated) <= 6

    run(inside)


def test_one_address_that_tries_many_names_is_blocked(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        for n in range(31):
            with pytest.raises(Unauthenticated):
                await platform.access.login.sign_in(f"name{n}", "some guess at it", "192.0.2.1")
        with pytest.raises(TooMany):
            await platform.access.login.sign_in("name99", "some guess at it", "192.0.2.1")
        with pytest.raises(Unauthenticated):
            await platform.access.login.sign_in("name99", "some guess at it", "192.0.2.2")

    run(inside)


def test_a_log_out_a_new_password_a_new_role_and_a_new_status_end_tokens(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        people = platform.access.people
        await people.add("root", "admin", PASSWORD, OPERATOR)
        await people.add("ada", "reviewer", PASSWORD, OPERATOR)
        first, second = await _token(platform, "ada"), await _token(platform, "ada")
        caller = await _identify(platform, first)
        assert caller.session is not None
        await platform.access.tokens.revoke(caller.session, caller)
        with pytest.raises(Unauthenticated):
            await _identify(platform, first)
        assert (await _identify(platform, second)).user == "ada", "only the one that was signed out"
        changes = (
            lambda: people.set_password("ada", PASSWORD, OPERATOR),
            lambda: people.set_role("ada", "member", OPERATOR),
            lambda: people.set_status("ada", "disabled", OPERATOR),
        )
        for change in changes:
            token = await _token(platform, "ada")
            await change()
            with pytest.raises(Unauthenticated):
                await _identify(platform, token)
        with pytest.raises(Unauthenticated):
            await _token(platform, "ada")
        await people.set_status("ada", "active", OPERATOR)
        assert await _token(platform, "ada")

    run(inside)


def test_the_last_admin_stays(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        people = platform.access.people
        await people.add("root", "admin", PASSWORD, OPERATOR)
        for change in (
            lambda: people.set_role("root", "member", OPERATOR),
            lambda: people.set_status("root", "disabled", OPERATOR),
            lambda: people.erase("root", OPERATOR),
        ):
            with pytest.raises(Conflict, match="last admin"):
                await change()
        await people.add("other", "admin", PASSWORD, OPERATOR)
        both = (people.set_role(name, "member", OPERATOR) for name in ("root", "other"))
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        assert sum(isinstance(each, Conflict) for each in outcomes) == 1

    run(inside)


def test_rotating_the_secret_signs_nobody_out(settings: Settings) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.people.add("ada", "member", PASSWORD, OPERATOR)
        before = await _token(platform, "ada")
        async with open_platform(settings) as other:
            assert (await _identify(other, before)).user == "ada"
            rotated = await platform.access.tokens.rotate(OPERATOR)
            after = await _token(platform, "ada")
            assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"] == rotated["id"]
            await asyncio.sleep(1.1)  # a process looks for secrets it does not know once a second
            for each in (platform, other):
                for token in (before, after):
                    assert (await _identify(each, token)).user == "ada"
        listed = (await platform.access.tokens.list())["items"]
        assert [each["signs"] for each in listed] == [True, False]
        assert "secret" not in json.dumps(listed)

    on_platform(settings, inside)


def test_no_forged_token_gets_in(run: Run[object], database_url: str) -> None:
    """10,000 tokens: of another secret, expired, of another algorithm, cut, changed, of nobody, or replayed after a log-out."""

    async def inside(platform: Platform) -> None:
        await platform.access.people.add("ada", "member", PASSWORD, OPERATOR)
        good = await _token(platform, "ada")
        kid = jwt.get_unverified_header(good)["kid"]
        ended = await _token(platform, "ada")
        by = await _identify(platform, ended)
        assert by.session is not None
        await platform.access.tokens.revoke(by.session, by)
        claims: dict[str, Any] = jwt.decode(good, options={"verify_signature": False})
        with psycopg.connect(database_url) as admin:
            row = admin.execute("SELECT secret FROM signing_secrets").fetchone()
        assert row is not None
        secret = bytes(row[0])
        chance = random.Random(4)

        def forged(n: int) -> str:
            fresh = {**claims, "jti": str(uuid4())}
            kinds = [
                lambda: jwt.encode(fresh, chance.randbytes(32), "HS256", {"kid": kid}),
                lambda: jwt.encode({**fresh, "exp": utc_now() - timedelta(seconds=1 + n)}, secret, "HS256", {"kid": kid}),
                lambda: jwt.encode(fresh, "", "none", {"kid": kid}),
                lambda: jwt.encode(fresh, chance.randbytes(64), "HS512", {"kid": kid}),
                lambda: good[: chance.randrange(len(good))],
                lambda: _flipped(good, chance),
                lambda: jwt.encode({**fresh, "sub": str(uuid4())}, secret, "HS256", {"kid": kid}),
                lambda: jwt.encode({**fresh, "gen": claims["gen"] + chance.choice([-1, 1, 7])}, secret, "HS256", {"kid": kid}),
                lambda: jwt.encode(fresh, secret, "HS256", {"kid": chance.choice(["", "../x", "a" * 99, "0"])}),
                lambda: jwt.encode({k: v for k, v in fresh.items() if k != "exp"}, secret, "HS256", {"kid": kid}),
                lambda: ended,
            ]  # fmt: skip
            return kinds[n % len(kinds)]()

        began = time.monotonic()
        for n in range(10_000):
            with pytest.raises(Unauthenticated):
                await _identify(platform, forged(n))
        assert time.monotonic() - began < 300
        assert (await _identify(platform, good)).user == "ada"

    run(inside)


def _flipped(token: str, chance: random.Random) -> str:
    """The token with one bit of its payload or signature another."""
    header, payload, signature = token.split(".")
    parts = {"payload": payload, "signature": signature}
    which = chance.choice(list(parts))
    raw = bytearray(base64.urlsafe_b64decode(parts[which] + "=="))
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    parts[which] = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    return f"{header}.{parts['payload']}.{parts['signature']}"


def test_keys_are_shown_once_scoped_and_end(run: Run[object], database_url: str) -> None:
    async def inside(platform: Platform) -> None:
        access = platform.access
        await access.people.add("ada", "member", PASSWORD, OPERATOR)
        made = await access.keys.create(NewKey("nightly", ["search"]), OPERATOR)
        caller = await access.gate.identify(made["key"], None, "192.0.2.1")
        assert (caller.name, caller.user, caller.scopes) == (f"key:nightly/{made['prefix']}", None, {"search"})
        assert (await access.gate.identify(None, f"Bearer {made['key']}", "192.0.2.1")).name == caller.name
        with psycopg.connect(database_url) as admin:
            stored = str(admin.execute("SELECT * FROM api_keys").fetchall())
        assert made["key"] not in stored
        assert "key" not in (await access.keys.page())["items"][0]

        with pytest.raises(Invalid, match="member"):
            await access.keys.create(NewKey("too much", ["admin"], user="ada"), OPERATOR)
        hers = await access.keys.create(NewKey("hers", ["search"], user="ada"), OPERATOR)
        assert (await access.gate.identify(hers["key"], None, "x")).user == "ada"
        await access.people.add("root", "admin", PASSWORD, OPERATOR)
        await access.people.set_status("ada", "disabled", OPERATOR)
        soon = await access.keys.create(
            NewKey("soon", ["search"], expires_at=utc_now() + timedelta(seconds=0.3)), OPERATOR
        )
        assert (await access.gate.identify(soon["key"], None, "x")).scopes == {"search"}
        await asyncio.sleep(0.4)
        await access.keys.revoke("nightly", OPERATOR)
        for ended in (made, hers, soon, {"key": "gw_00000000_nonsense"}, {"key": "\udcff"}):
            with pytest.raises(Unauthenticated):
                await access.gate.identify(ended["key"], None, "192.0.2.1")
        with pytest.raises(NotFound):
            await access.keys.revoke("nightly", OPERATOR)

    run(inside)


def test_a_key_reaches_no_collection_but_its_own(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        for name in ("open", "staff", "secret"):
            await platform.create_collection(name)
        await set_readers(platform.database, "staff", Readers(False, ("reviewer",)))
        await set_readers(platform.database, "secret", Readers(False, (), ("bob",)))
        access = platform.access
        await access.people.add("ada", "reviewer", PASSWORD, OPERATOR)

        async def reach(wanted: NewKey) -> set[str]:
            key = (await access.keys.create(wanted, OPERATOR))["key"]
            return set(await readable(platform.database, await access.gate.identify(key, None, "x"))) - {"default"}

        assert await reach(NewKey("a", ["search"])) == {"open"}
        assert await reach(NewKey("b", ["search"], collections=["secret"])) == {"secret"}
        assert await reach(NewKey("c", ["search"], user="ada")) == {"open", "staff"}
        assert await reach(NewKey("d", ["search"], user="ada", collections=["staff", "secret"])) == {"staff"}
        assert await reach(NewKey("e", ["admin", "search"])) == {"open", "staff", "secret"}
        with pytest.raises(Invalid, match="every collection"):  # it could make itself a key without that limit
            await reach(NewKey("f", ["admin"], collections=["open"]))

    run(inside)


def test_tampering_with_the_audit_log_shows(run: Run[object], database_url: str) -> None:
    async def inside(platform: Platform) -> None:
        for n in range(6):
            await log.record(platform.database, log.Deed("tester", "tested", f"thing {n}", details={"n": n}))
        whole = await log.verify(platform.database)
        assert (whole.entries, whole.broken_at) == (6, None)
        page = await log.page(platform.database, limit=4)
        assert [each["subject"] for each in page["items"]] == ["thing 5", "thing 4", "thing 3", "thing 2"]
        rest = await log.page(platform.database, cursor=page["next_cursor"])
        assert [each["subject"] for each in rest["items"]] == ["thing 1", "thing 0"]

        with psycopg.connect(database_url, autocommit=True) as admin:
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                admin.execute("UPDATE audit_log SET actor = 'somebody else' WHERE id = 3")
            admin.execute("ALTER TABLE audit_log DISABLE TRIGGER ALL")
            for harm, place in (
                ("UPDATE audit_log SET actor = 'somebody else' WHERE id = 3", 3),
                ("UPDATE audit_log SET at = at + interval '1 second' WHERE id = 2", 2),
                ("DELETE FROM audit_log WHERE id = 4", 4),
            ):
                admin.execute("CREATE TABLE kept AS SELECT * FROM audit_log")
                admin.execute(harm)
                assert (await log.verify(platform.database)).broken_at == place
                admin.execute("DELETE FROM audit_log")
                admin.execute("INSERT INTO audit_log SELECT * FROM kept")
                admin.execute("DROP TABLE kept")
        assert (await log.verify(platform.database)).broken_at is None

    run(inside)


def test_old_entries_go_and_the_chain_still_holds(run: Run[object], database_url: str) -> None:
    async def inside(platform: Platform) -> None:
        for n in range(5):
            await log.record(platform.database, log.Deed("tester", "tested", f"thing {n}"))
        assert await log.prune(platform.database, 90, "worker") == 0
        assert await log.prune(platform.database, 0, "worker") == 4
        assert (await log.verify(platform.database)).broken_at is None
        page = await log.page(platform.database)
        assert [each["action"] for each in page["items"]] == ["audit_pruned", "tested"]

    run(inside)


def test_everything_done_to_accounts_is_in_the_log(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        people, keys = platform.access.people, platform.access.keys
        await people.add("root", "admin", PASSWORD, OPERATOR)
        await people.add("ada", "member", PASSWORD, OPERATOR)
        with pytest.raises(Unauthenticated):
            await platform.access.login.sign_in("ada", "not her password", "192.0.2.7")
        await _token(platform, "ada", "192.0.2.8")
        await people.set_role("ada", "reviewer", OPERATOR)
        await keys.create(NewKey("hers", ["search"], user="ada"), OPERATOR)
        await keys.revoke("hers", OPERATOR)
        await people.erase("ada", OPERATOR)
        entries = (await log.page(platform.database))["items"]
        assert [each["action"] for each in entries][::-1] == [
            "user_added", "user_added", "login_failed", "login", "role_changed", "key_created", "key_revoked", "user_erased",
        ]  # fmt: skip
        assert {each["address"] for each in entries if each["action"].startswith("login")} == {"192.0.2.7", "192.0.2.8"}
        assert PASSWORD not in json.dumps(entries)
        with pytest.raises(NotFound):
            await people.show("ada")

    run(inside)


def test_limits_are_counted_per_caller_and_kind(settings: Settings) -> None:
    few = settings.model_copy(update={"limits": LimitSettings(search_per_minute=3, ask_per_minute=0)})

    async def inside(platform: Platform) -> None:
        hit = platform.access.limiter.hit
        seen = [await hit("search", "key:a") for _ in range(4)]
        assert [each is not None and each.admitted for each in seen] == [True, True, True, False]
        assert [each.remaining for each in seen if each] == [2, 1, 0, 0]
        assert all(each and 0 < each.reset_seconds <= 60 for each in seen)
        other = await hit("search", "key:b")
        assert other is not None
        assert other.admitted
        assert await hit("ask", "key:a") is None

    on_platform(few, inside)


def test_maintenance_mode_outlives_a_restart(settings: Settings) -> None:
    async def turn_on(platform: Platform) -> None:
        assert await platform.access.maintenance.is_on() is None
        assert (await platform.access.maintenance.switch(True, "New disks.", OPERATOR))["on"]

    async def look(platform: Platform) -> None:
        assert await platform.access.maintenance.is_on() == "New disks."
        assert not (await platform.access.maintenance.switch(False, "", OPERATOR))["on"]
        assert await platform.access.maintenance.is_on() is None

    on_platform(settings, turn_on)
    on_platform(settings, look)


def test_the_first_start_makes_one_admin_only(settings: Settings, tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        async with open_platform(settings) as other:
            made = await asyncio.gather(platform.access.welcome(), other.access.welcome())
        (welcome,) = [each for each in made if each is not None]
        assert await platform.access.login.sign_in("admin", welcome.password, "x")
        caller = await platform.access.gate.identify(welcome.key, None, "x")
        assert (caller.user, caller.scopes) == ("admin", {"search", "ask", "ingest", "admin"})
        assert welcome.password not in repr(welcome)
        assert await platform.access.welcome() is None

    on_platform(settings, inside)


def test_the_operator_acts_as_somebody_with_their_rights_alone(run: Run[object]) -> None:
    async def inside(platform: Platform) -> None:
        await platform.access.people.add("ada", "member", PASSWORD, OPERATOR)
        await platform.create_collection("private")
        await set_readers(platform.database, "private", Readers(False, ("admin",)))
        gate = platform.access.gate
        assert "private" in await readable(platform.database, await gate.local(None))
        ada = await gate.local("ada")
        assert "private" not in await readable(platform.database, ada)
        assert ada.name.startswith("operator:")
        with pytest.raises(Refused):
            demand(ada, "admin")
        with pytest.raises(NotFound):
            await gate.local("nobody")

    run(inside)
