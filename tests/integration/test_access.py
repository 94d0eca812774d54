"""Nobody is ever shown a word of what they may not read."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundwork.access.scope import ANYONE, OPERATOR, Caller, Readers, readers, set_readers
from groundwork.assembly import Platform, Request
from groundwork.errors import Invalid, NotFound
from plugins.installation import Run, ingest, write

_COLLECTIONS = ("alpha", "beta", "gamma", "delta")
_USERS = ("ana", "ben", "cleo")
_ROLES = ("admin", "reviewer", "member")

_readers = st.one_of(
    st.just(Readers(everyone=True)),
    st.builds(
        Readers,
        st.just(False),
        st.lists(st.sampled_from(_ROLES), unique=True, max_size=2).map(tuple),
        st.lists(st.sampled_from(_USERS), unique=True, max_size=2).map(tuple),
    ),
)
_callers = st.one_of(
    st.just(ANYONE),
    st.builds(Caller, st.sampled_from(_USERS), st.frozensets(st.sampled_from(_ROLES), max_size=2)),
)


def _may_read(caller: Caller, allowed: Readers) -> bool:
    return (
        "admin" in caller.roles
        or allowed.everyone
        or caller.user in allowed.users
        or bool(caller.roles & set(allowed.roles))
    )


async def _library(platform: Platform, folder: Path) -> None:
    for name in _COLLECTIONS:
        text = f"# {name}\n\nThe common secret of {name} is word{name}.\n"
        await ingest(platform, write(folder / name, {f"{name}.md": text}), name)


def test_no_way_of_reading_shows_what_the_caller_may_not_read(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        await _library(platform, tmp_path)
        everything = platform.catalog.seen_by(OPERATOR)
        documents = {each["collection"]: each for each in (await everything.documents())["items"]}
        loop = asyncio.get_running_loop()

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(allowed=st.tuples(*[_readers] * len(_COLLECTIONS)), caller=_callers)
        def check_any_caller(allowed: tuple[Readers, ...], caller: Caller) -> None:
            chosen = dict(zip(_COLLECTIONS, allowed, strict=True))
            asyncio.run_coroutine_threadsafe(check_all_ways(platform, documents, chosen, caller), loop).result(60)

        await asyncio.to_thread(check_any_caller)

    run(inside)


async def check_all_ways(
    platform: Platform, documents: dict[str, Any], chosen: dict[str, Readers], caller: Caller
) -> None:
    for name, allowed in chosen.items():
        await set_readers(platform.database, name, allowed)
    permitted = {name for name, allowed in chosen.items() if _may_read(caller, allowed)}
    catalog = platform.catalog.seen_by(caller)
    for mode in ("hybrid", "dense", "lexical"):
        found = await platform.search(Request("common secret word", limit=50, mode=mode, caller=caller))
        assert {each.chunk.collection for each in found.passages} == permitted
    answer = await platform.ask(Request("What is the common secret?", caller=caller))
    assert {each["collection"] for each in answer["citations"]} <= permitted
    assert not any(f"word{name}" in answer["answer"] for name in set(_COLLECTIONS) - permitted)
    async for event in await platform.stream(Request("What is the common secret?", caller=caller)):
        assert not any(f"word{name}" in str(event.data) for name in set(_COLLECTIONS) - permitted)
    assert {each["name"] for each in (await catalog.collections())["items"]} == permitted
    assert {each["collection"] for each in (await catalog.documents())["items"]} == permitted
    for name in set(_COLLECTIONS) - permitted:
        document = documents[name]
        for attempt in (
            platform.search(Request("secret", collections=[name], caller=caller)),
            platform.ask(Request("secret", collections=[name], caller=caller)),
            catalog.collection(name),
            catalog.documents(name),
            catalog.document(document["id"]),
            catalog.text(document["id"], document["version"]),
            platform.accept_upload(name, "x.md", b"x", caller),
        ):
            with pytest.raises(NotFound):
                await attempt


def test_what_is_hidden_and_what_is_missing_look_the_same(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        await _library(platform, tmp_path)
        await set_readers(platform.database, "alpha", Readers(everyone=False, users=("ana",)))
        messages: list[str] = []
        for name in ("alpha", "never"):
            with pytest.raises(NotFound) as refused:
                await platform.search(Request("secret", collections=[name]))
            messages.append(refused.value.message.replace(name, "X"))
        assert messages[0] == messages[1]

    run(inside)


def test_readers_are_everyone_or_named(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        await platform.create_collection("plans")
        assert (await readers(platform.database, "plans")).everyone
        named = Readers(everyone=False, roles=("admin",), users=("ana", "ben"))
        assert await set_readers(platform.database, "plans", named) == named
        with pytest.raises(Invalid):
            await set_readers(platform.database, "plans", Readers(everyone=True, users=("ana",)))
        with pytest.raises(NotFound):
            await set_readers(platform.database, "nowhere", named)

    run(inside)
