"""Conversations: kept in the record, their owner's alone, and silent about what the owner may not read any more."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from groundwork.access.scope import OPERATOR, Caller, Readers, set_readers
from groundwork.assembly import Platform
from groundwork.caches import Change
from groundwork.clock import utc_now
from groundwork.errors import Invalid, NotFound, Unavailable
from groundwork.health.stats import stats
from groundwork.sessions import records
from groundwork.sessions.conversations import Sessions, title_of
from groundwork.sessions.markdown import as_markdown
from groundwork.settings import Settings
from groundwork.settings.models import SessionSettings
from groundwork.worker import chores
from plugins.installation import Run, on_platform

ADA = Caller(user="ada", roles=frozenset({"member"}), name="user:ada")
BEN = Caller(user="ben", roles=frozenset({"admin"}), name="user:ben")


class Dict:
    """A cache in a dict that counts what it was asked."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.hits = 0
        self.keeps = False
        """Whether it fails to forget."""
        self.fails = False

    async def get(self, key: str) -> bytes | None:
        self._may_fail()
        self.hits += key in self.values
        return self.values.get(key)

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        self._may_fail()
        self.values[key] = value

    async def delete(self, key: str) -> None:
        self._may_fail()
        if not self.keeps:
            self.values.pop(key, None)

    async def update(self, key: str, change: Change[Any], seconds: float) -> Any:
        self._may_fail()
        value, told = change(self.values.get(key))
        if value is not None:
            self.values[key] = value
        else:
            await self.delete(key)
        return told

    async def close(self) -> None:
        self.values.clear()

    def _may_fail(self) -> None:
        if self.fails:
            raise Unavailable("The cache does not answer.")


def answer(text: str, **citation: object) -> dict[str, Any]:
    """An answer as a caller is given it."""
    return {"answer": text, "mode": "extracted", "citations": [dict(citation)] if citation else [], "usage": {}}


async def collection(platform: Platform, name: str) -> UUID:
    """The id of a new collection."""
    await platform.create_collection(name)
    return await collection_id(platform, name)


async def collection_id(platform: Platform, name: str) -> UUID:
    row = await platform.database.fetch_one("SELECT id FROM collections WHERE name = %s", (name,))
    assert row is not None
    return row[0]


async def talk(sessions: Sessions, caller: Caller, questions: int, *collections: UUID) -> UUID:
    """A conversation with so many turns."""
    session = await sessions.begin(caller.account, "Question 1?")
    for n in range(1, questions + 1):
        assert (
            await sessions.add(session.id, caller.account, f"Question {n}?", answer(f"Answer {n}."), collections) == n
        )
    return session.id


def made(platform: Platform, cache: Dict, **settings: int) -> Sessions:
    return Sessions(platform.database, cache, SessionSettings(**settings))


@pytest.fixture(params=["remembering", "keeping", "failing", "rubbish"])
def cache(request: pytest.FixtureRequest) -> Dict:
    """A cache that works, one that forgets nothing, one that does not answer, one that holds what nobody here wrote."""
    cache = Dict()
    cache.keeps = request.param == "keeping"
    cache.fails = request.param == "failing"
    if request.param == "rubbish":
        cache.values = Rubbish()
    return cache


class Rubbish(dict[str, bytes]):
    """Answers something for every key."""

    def get(self, key: str, default: Any = None) -> Any:
        return b'[{"number": "one"}]'


def test_a_question_is_asked_with_the_turns_before_it(run: Run[object], cache: Dict) -> None:
    async def work(platform: Platform) -> None:
        sessions = made(platform, cache, recent_turns=3)
        key = await talk(sessions, ADA, 2)
        assert [turn.number for turn in await sessions.history(ADA, key)] == [1, 2]
        for n in (3, 4, 5):
            await sessions.add(str(key), "ada", f"Question {n}?", answer(f"Answer {n}."), [])
            told = [(turn.number, turn.question, turn.answer_text) for turn in await sessions.history(ADA, str(key))]
            assert told == [(each, f"Question {each}?", f"Answer {each}.") for each in range(n - 2, n + 1)]

    run(work)


def test_a_working_cache_spares_the_record(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        cache = Dict()
        sessions = made(platform, cache, recent_turns=3)
        key = await talk(sessions, ADA, 5)
        with psycopg.connect(platform.database.url, autocommit=True) as admin:
            admin.execute("DELETE FROM session_turns")
        assert [turn.number for turn in await sessions.history(ADA, key)] == [3, 4, 5]
        assert cache.hits == 1
        assert [turn.number for turn in await made(platform, Dict()).history(ADA, key)] == []

    run(work)


def test_what_is_cached_of_another_past_is_not_believed(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        cache = Dict()
        sessions = made(platform, cache)
        key = await talk(sessions, ADA, 2)
        with psycopg.connect(platform.database.url, autocommit=True) as admin:  # as a restore to an earlier moment does
            admin.execute("DELETE FROM session_turns WHERE number = 2")
            admin.execute("UPDATE sessions SET turn_count = 1, updated_at = (SELECT at FROM session_turns)")
        assert [turn.question for turn in await sessions.history(ADA, key)] == ["Question 1?"]
        kept = dict(cache.values)
        await made(platform, Dict()).add(key, "ada", "Another?", answer("Yes."), [])
        cache.values = kept
        assert [turn.question for turn in await sessions.history(ADA, key)] == ["Question 1?", "Another?"]

    run(work)


def test_twenty_at_once_are_twenty_turns(run: Run[object], cache: Dict) -> None:
    async def work(platform: Platform) -> None:
        sessions = made(platform, cache, recent_turns=20)
        key = (await sessions.begin("ada", "Many?")).id
        adding = [sessions.add(key, "ada", f"Q{n}", answer(f"A{n}"), []) for n in range(20)]
        numbers = await asyncio.gather(*adding)
        assert sorted(numbers) == list(range(1, 21))
        shown = (await sessions.show(ADA, key))["turns"]
        assert {turn["number"]: turn["question"] for turn in shown} == {n: f"Q{at}" for at, n in enumerate(numbers)}
        assert [turn.question for turn in await sessions.history(ADA, key)] == [turn["question"] for turn in shown]

    run(work)


def test_a_removed_conversation_is_gone_whatever_the_cache_holds(run: Run[object], cache: Dict) -> None:
    async def work(platform: Platform) -> None:
        sessions = made(platform, cache)
        key = await talk(sessions, ADA, 2)
        await sessions.history(ADA, key)
        assert (await sessions.rename(ADA, key, "  A new\ttitle "))["title"] == "A new title"
        assert (await sessions.delete(ADA, key))["title"] == "A new title"
        await assert_missing(sessions, ADA, key)
        assert (await sessions.page(ADA))["items"] == []

    run(work)


async def assert_missing(sessions: Sessions, caller: Caller, key: object) -> None:
    """No way leads to it, and each says the same."""
    ways: list[Callable[[Any], Awaitable[Any]]] = [
        lambda key: sessions.history(caller, key),
        lambda key: sessions.show(caller, key),
        lambda key: sessions.export(caller, key),
        lambda key: sessions.rename(caller, key, "Mine"),
        lambda key: sessions.delete(caller, key),
        lambda key: sessions.add(key, caller.account, "And?", answer("No."), []),
    ]
    for way in ways:
        with pytest.raises(NotFound) as refused:
            await way(key)
        unknown = uuid4()
        with pytest.raises(NotFound) as missing:
            await way(unknown)
        assert refused.value.message.replace(str(key), "X") == missing.value.message.replace(str(unknown), "X")


def test_nobody_else_can_tell_that_it_is_there(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        sessions = made(platform, Dict())
        key = await talk(sessions, ADA, 1)
        nightly = Caller(name="key:nightly/gw_12345678", scopes=frozenset({"ask"}))
        slashed = Caller(name="key:team/nightly/gw_12345678", scopes=frozenset({"ask"}))
        assert (nightly.account, slashed.account) == ("key:nightly", "key:team/nightly")
        for other in (BEN, nightly, OPERATOR, replace(OPERATOR, name="operator:root")):
            await assert_missing(sessions, other, key)
            assert (await sessions.page(other))["items"] == []
        for nonsense in ("new", "x" * 1000, "../1", f"{key}x"):
            await assert_missing(sessions, ADA, nonsense)
        assert len(await sessions.history(ADA, key)) == 1

    run(work)


def test_what_the_owner_may_not_read_any_more_is_withheld(run: Run[object], cache: Dict) -> None:
    async def work(platform: Platform) -> None:
        sessions = made(platform, cache)
        alpha, beta, doomed = [await collection(platform, name) for name in ("alpha", "beta", "doomed")]
        key = (await sessions.begin("ada", "What is alphaword?")).id
        for name, among in (
            ("alpha", [alpha]),
            ("beta", [beta]),
            ("both", [beta, alpha]),
            ("doom", [doomed]),
            ("no", []),
        ):
            await sessions.add(key, "ada", f"What is {name}word?", answer(f"It is {name}secret."), among)

        async def numbers(caller: Caller) -> list[int]:
            """Of the turns shown; every way shows the same ones, and no word of the others."""
            told = await sessions.history(caller, key)
            shown, exported = await sessions.show(caller, key), await sessions.export(caller, key)
            assert shown["turns"] == exported["turns"]
            open_ = [turn["number"] for turn in shown["turns"] if not turn["withheld"]]
            assert open_ == [turn.number for turn in told]
            for turn in shown["turns"]:
                assert turn["withheld"] or turn["question"]
                assert not turn["withheld"] or set(turn) == {"number", "at", "withheld"}
            everything = f"{told}{shown}{exported}{as_markdown(exported)}{await sessions.page(caller)}"
            for number, name in enumerate(("alpha", "beta", "both", "doom", "no"), start=1):
                assert (f"{name}word" in everything) == (f"{name}secret" in everything) == (number in open_)
            return open_

        assert await numbers(ADA) == [1, 2, 3, 4, 5]
        assert await numbers(replace(ADA, only=("beta",))) == [2, 5]
        assert await numbers(replace(ADA, only=("alpha", "beta"))) == [1, 2, 3, 5]
        await platform.delete_collection("doomed")
        assert await numbers(ADA) == [1, 2, 3, 5]
        await set_readers(platform.database, "alpha", Readers(everyone=False, users=("ben",)))
        assert await numbers(ADA) == [2, 5]
        assert (await sessions.page(ADA))["items"][0]["title"] is None
        assert (await sessions.rename(ADA, key, "My own words"))["title"] == "My own words"
        await set_readers(platform.database, "alpha", Readers(everyone=False, users=("ada",)))
        assert await numbers(ADA) == [1, 2, 3, 5]

    run(work)


def test_lists_come_in_pages_the_last_asked_first(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        sessions = made(platform, Dict())
        keys = [str(await talk(sessions, ADA, 1)) for _ in range(5)]
        await talk(sessions, BEN, 1)
        await sessions.add(keys[0], "ada", "Once more?", answer("Yes."), [])
        await sessions.rename(ADA, keys[1], "A title is no question")
        expected = [keys[0], *reversed(keys[1:])]
        seen: list[str] = []
        page = await sessions.page(ADA, limit=2)
        seen += [each["id"] for each in page["items"]]
        while page["next_cursor"] is not None:
            page = await sessions.page(ADA, page["next_cursor"], limit=2)
            seen += [each["id"] for each in page["items"]]
        assert seen == expected
        for cursor in ("x", "1", f"{10**30}.{keys[0]}", f"1.5.{keys[0]}", f"-1{'0' * 18}.{keys[0]}", "ü.1"):
            with pytest.raises(Invalid):
                await sessions.page(ADA, cursor)

        long = await talk(sessions, ADA, 5)
        first = await sessions.show(ADA, long, limit=3)
        rest = await sessions.show(ADA, long, first["next_cursor"], limit=3)
        assert [turn["number"] for turn in first["turns"] + rest["turns"]] == [1, 2, 3, 4, 5]
        assert rest["next_cursor"] is None
        for limit in (0, 501):
            with pytest.raises(Invalid):
                await sessions.show(ADA, long, limit=limit)

    run(work)


def test_an_export_has_every_turn_and_what_it_cites(run: Run[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundwork.sessions.conversations._AT_ONCE", 2)

    async def work(platform: Platform) -> None:
        sessions = made(platform, Dict())
        key = await talk(sessions, ADA, 5)
        cited = {
            "index": 1,
            "title": "Hand\nbook",
            "page": 4,
            "collection": "default",
            "document_id": "d",
            "version": "sha256:00",
            "source_span": {"start": 3, "end": 9},
            "quote": "Two\nlines.",
            "verified": True,
            "uri": "file:///handbook.md",
        }
        await sessions.add(key, "ada", "A question\n# with lines?", answer("Yes. [1]", **cited), [])
        exported = await sessions.export(ADA, key)
        assert len(exported["turns"]) == 6
        assert exported["turns"][-1]["answer"]["citations"] == [cited]
        text = as_markdown(exported)
        assert text.startswith("# Question 1?\n")
        assert "## 6. A question # with lines?\n" in text
        assert "1. Hand book, page 4, in default\n\n   > Two\n   > lines.\n" in text
        assert "version sha256:00, characters 3-9: file:///handbook.md" in text

    run(work)


def test_any_text_a_model_writes_can_be_kept(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        sessions = made(platform, Dict())
        key = (await sessions.begin("ada", "A\0 question\ud800?")).id
        body = {**answer("nul \0, half \ud83d, whole 🙂"), "more": {"de\0ep": ["\udc00", 1.5, None, True]}}
        await sessions.add(key, "ada", "Half \udfff?", body, [])
        kept = (await sessions.show(ADA, key))["turns"][0]
        assert kept["answer"]["answer"] == "nul \ufffd, half \ufffd, whole 🙂"
        assert kept["answer"]["more"] == {"de\ufffdep": ["\ufffd", 1.5, None, True]}
        assert kept["question"] == "Half \ufffd?"

    run(work)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("How long is parental leave?", "How long is parental leave?"),
        ("  Two\nlines\t and  more ", "Two lines and more"),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("x" * 100, "x" * 60 + "…"),
        ("\0\u202e ", "Conversation"),
    ],
)
def test_a_title_is_the_beginning_of_the_question(question: str, title: str) -> None:
    assert title_of(question) == title


def test_an_erased_user_leaves_nothing_and_a_namesake_finds_nothing(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        await platform.access.people.add("ada", "member", None, OPERATOR)
        alpha = await collection(platform, "alpha")
        key = await talk(platform.sessions, ADA, 2, alpha)
        await set_readers(platform.database, "alpha", Readers(everyone=False))
        told = await platform.everything_about("ada", OPERATOR)
        assert [each["id"] for each in told["sessions"]] == [str(key)]
        assert [turn["question"] for turn in told["sessions"][0]["turns"]] == ["Question 1?", "Question 2?"]
        assert "Answer" not in str(told)

        await platform.access.people.erase("ada", OPERATOR)
        assert await records.counts(platform.database) == {"sessions": 0, "turns": 0}
        late = (await platform.sessions.begin("ada", "Asked while she was being erased?")).id
        await platform.access.people.add("ada", "member", None, OPERATOR)
        await assert_missing(platform.sessions, ADA, late)
        assert (await platform.everything_about("ada", OPERATOR))["sessions"] == []

    run(work)


def test_old_conversations_are_forgotten_daily(settings: Settings) -> None:
    async def work(platform: Platform) -> None:
        old, kept = [await talk(platform.sessions, ADA, 2) for _ in range(2)]
        with psycopg.connect(platform.database.url, autocommit=True) as admin:
            admin.execute("UPDATE sessions SET created_at = %s", (utc_now() - timedelta(days=30),))
            for key, days in ((old, 7.01), (kept, 6.99)):
                moment = utc_now() - timedelta(days=days)
                admin.execute("UPDATE sessions SET updated_at = %s WHERE id = %s", (moment, key))
        counted = await stats(platform.database, platform.jobs, platform.uploads.originals)
        assert (counted["sessions"], counted["turns"]) == (2, 4)
        assert await chores.do(platform)
        assert [each["id"] for each in (await platform.sessions.page(ADA))["items"]] == [str(kept)]
        assert await records.counts(platform.database) == {"sessions": 1, "turns": 2}

    on_platform(settings.model_copy(update={"sessions": SessionSettings(retention_days=7)}), work)
