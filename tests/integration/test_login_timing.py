"""A login with a wrong name costs what one with a wrong password costs: the same hashing, the same questions.

How long they take is measured by `scripts/drill login-timing`.
"""

from collections import Counter
from typing import Any

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from groundwork.access.people import login, passwords, records
from groundwork.access.scope import OPERATOR
from groundwork.assembly import Platform
from groundwork.errors import Unauthenticated
from plugins.installation import Run

_PASSWORD = "correct horse battery"
_WRONG = "another horse battery"


def _count(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What failed logins do from now on: Argon2 computations with their parameters, look-ups, entries in the audit log."""
    counted: Counter[str] = Counter()
    verify, make = Argon2Hasher.verify, Argon2Hasher.hash
    look_up, note = records.credentials, login.note

    def counted_verify(hasher: Argon2Hasher, password: str | bytes, stored: str | bytes) -> bool:
        counted["verify " + str(stored).rsplit("$", 2)[0]] += 1
        return verify(hasher, password, stored)

    def counted_hash(hasher: Argon2Hasher, password: str | bytes, **more: Any) -> str:
        counted["hash"] += 1
        return make(hasher, password, **more)

    async def counted_look_up(*given: Any) -> Any:
        counted["look-up"] += 1
        return await look_up(*given)

    async def counted_note(*given: Any) -> None:
        counted["note"] += 1
        await note(*given)

    monkeypatch.setattr(Argon2Hasher, "verify", counted_verify)
    monkeypatch.setattr(Argon2Hasher, "hash", counted_hash)
    monkeypatch.setattr(records, "credentials", counted_look_up)
    monkeypatch.setattr(login, "note", counted_note)
    return counted


@pytest.mark.parametrize("first", ["a wrong name", "a wrong password"])
@pytest.mark.parametrize("name", ["nobody", "no name at all", "a" * 200, "gone"])
def test_a_wrong_name_costs_what_a_wrong_password_costs(
    run: Run[object], monkeypatch: pytest.MonkeyPatch, name: str, first: str
) -> None:
    async def cost(platform: Platform, user: str, password: str, address: str) -> tuple[Counter[str], str]:
        counted.clear()
        with pytest.raises(Unauthenticated) as refused:
            await platform.access.login.sign_in(user, password, address)
        return Counter(counted), refused.value.message

    async def inside(platform: Platform) -> None:
        people = platform.access.people
        for each, role in (("root", "admin"), ("ada", "member"), ("gone", "member")):
            await people.add(each, role, _PASSWORD, OPERATOR)  # type: ignore[arg-type]
        await people.set_status("gone", "disabled", OPERATOR)
        passwords._nobodys.cache_clear()  # as in a process that has just started
        tries = [(name, _WRONG), ("ada", _WRONG), (name, _PASSWORD), ("ada", _WRONG[::-1])]
        if first == "a wrong password":
            tries.reverse()
        costs = [await cost(platform, *tried, f"192.0.2.{n}") for n, tried in enumerate(tries)]
        begun, later = costs[0], costs[1:]
        assert begun[0] - later[0][0] == {"hash": 1}, (
            "the first login of a process makes what wrong names are compared with"
        )
        assert later[0] == later[1] == later[2]
        assert sum(count for what, count in later[0][0].items() if what.startswith("verify")) == 1
        assert {message for _, message in costs} == {later[0][1]}

    counted = _count(monkeypatch)
    run(inside)
