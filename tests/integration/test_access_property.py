"""Over HTTP, whoever asks: what may be read is answered, and no text, name or marker of anything else ever is.

The rules are written down a second time here, in plain Python. GROUNDWORK_TEST_ACCESS_EXAMPLES asks for more examples,
drawn anew each time.
"""

import asyncio
import io
import os
import re
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from groundwork.access.credentials.keys import NewKey
from groundwork.access.people import records as people
from groundwork.access.scope import OPERATOR, Readers, set_readers
from groundwork.api.app import create_app
from groundwork.assembly import Platform
from groundwork.errors import NotFound
from groundwork.ingest.registry import NewSource
from groundwork.llms import LanguageModel, Prompt, ScriptedModel, Usage
from groundwork.settings import AnswerSettings, LimitSettings, Settings
from plugins.installation import on_platform, working, write

_COLLECTIONS = {name: f"zq{name.replace(' ', '')}qz" for name in ("alpha", "beta board", "gamma", "délta", "Gamma")}
"""Each with its marker, which stands in every text, file name, title and source of it."""
_USERS = ("ana", "ben", "cleo")
_ROLES = ("admin", "reviewer", "member")
_SCOPES = ("search", "ask", "ingest", "admin")
_MAY = {"admin": set(_SCOPES), "reviewer": {"search", "ask", "ingest"}, "member": {"search", "ask"}}
_NEVER = "never-made"
_PROGRAM = "key:drawn"
"""The account of keys that are nobody's."""
_QUESTION = "What is the common secret word?"


class Repeats(ScriptedModel):
    """Says all that it was told, and cites it."""

    async def stream(self, prompt: Prompt, usage: Usage) -> AsyncIterator[str]:
        self.seen.append(prompt)
        told = "\n".join(each.text for each in prompt.messages)
        for number, marker in re.findall(
            r"^passage (\d+) \w{16}$.*?word of this collection is (\w+)", told, re.M | re.S
        ):
            yield f"The common secret word of this collection is {marker} [{number}]. "


@dataclass
class OneModel:
    """The models there are: it alone."""

    model: Repeats = field(default_factory=Repeats)
    listed: tuple[()] = ()

    def candidates(self, private: bool) -> Sequence[LanguageModel]:
        return [self.model]

    async def look(self) -> None:
        """There is nothing to find."""

    async def follow(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """There is nothing to give back."""


@dataclass(frozen=True)
class Readable:
    """Who may read a collection."""

    everyone: bool = False
    roles: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Credential:
    """A token of a user, or a key: of a user, or of nobody."""

    user: str | None
    key: bool
    scopes: frozenset[str] = frozenset(_SCOPES)
    only: frozenset[str] | None = None


@dataclass(frozen=True)
class Conversation:
    """A conversation, and the collections that each of its turns was made from."""

    id: str
    turns: tuple[frozenset[str], ...]

    def open_to(self, permitted: set[str]) -> list[int]:
        """Numbers of the turns that may be shown to who may read those collections."""
        return [number for number, among in enumerate(self.turns, start=1) if among <= permitted]


@dataclass
class Library:
    """What there is: ids by collection."""

    documents: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    sources: dict[str, str] = field(default_factory=dict[str, str])
    jobs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    sessions: dict[str, list["Conversation"]] = field(default_factory=dict[str, list["Conversation"]])
    """By account."""

    def all_jobs(self) -> list[str]:
        return [job for jobs in self.jobs.values() for job in jobs]


def _scopes(who: Credential, roles: dict[str, str]) -> set[str]:
    """What the credential may do, by the rules as people are told them."""
    own = set(who.scopes) if who.key else set(_SCOPES)
    return own if who.user is None else own & _MAY[roles[who.user]]


def _may_read(who: Credential, roles: dict[str, str], collection: str, readers: Readable) -> bool:
    """Whether the credential may read the collection, by the rules as people are told them."""
    if who.only is not None and collection not in who.only:
        return False
    if who.user is None:
        return who.only is not None or "admin" in who.scopes or readers.everyone
    role = roles[who.user]
    return role == "admin" or readers.everyone or role in readers.roles or who.user in readers.users


_readers = st.one_of(
    st.just(Readable(everyone=True)),
    st.just(Readable()),
    st.builds(
        Readable,
        st.just(False),
        st.frozensets(st.sampled_from(_ROLES), max_size=2),
        st.frozensets(st.sampled_from(_USERS), max_size=2),
    ),
)
_limits = st.one_of(st.none(), st.frozensets(st.sampled_from(sorted(_COLLECTIONS)), min_size=1, max_size=3))
_keys = st.builds(
    Credential,
    st.one_of(st.none(), st.sampled_from(_USERS)),
    st.just(True),
    st.frozensets(st.sampled_from(_SCOPES), min_size=1).map(lambda scopes: scopes | {"search"}),
    _limits,
).map(lambda who: who if who.only is None else replace(who, scopes=who.scopes - {"admin"}))
_callers = st.one_of(_keys, _keys, st.builds(Credential, st.sampled_from(_USERS), st.just(False)))


def test_nobody_is_shown_over_http_what_they_may_not_read(settings: Settings, tmp_path: Path) -> None:
    asked = os.environ.get("GROUNDWORK_TEST_ACCESS_EXAMPLES")

    async def inside(platform: Platform) -> int:
        library = await _library(platform, tmp_path)
        for name in _USERS:
            await platform.access.people.add(name, "member", None, OPERATOR)
        await platform.access.people.add("keeper", "admin", None, OPERATOR)  # the last admin cannot be made less
        for account in (*_USERS, _PROGRAM):
            library.sessions[account] = await _conversations(platform, account)
        platform.models = models = OneModel()  # type: ignore[assignment]
        loop = asyncio.get_running_loop()
        shown: list[int] = []

        @examples(
            max_examples=int(asked or 8),
            derandomize=asked is None,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            readers=st.tuples(*[_readers] * len(_COLLECTIONS)),
            roles=st.tuples(*[st.sampled_from(_ROLES)] * len(_USERS)),
            callers=st.lists(_callers, min_size=2, max_size=2),
        )
        def whoever_asks(readers: tuple[Readable, ...], roles: tuple[str, ...], callers: list[Credential]) -> None:
            by_name = dict(zip(_COLLECTIONS, readers, strict=True))
            work = _check_callers(platform, client, library, by_name, dict(zip(_USERS, roles, strict=True)), callers)
            shown.append(asyncio.run_coroutine_threadsafe(work, loop).result(60))

        async with _client(platform) as client:
            await asyncio.to_thread(whoever_asks)
        assert models.model.seen
        return sum(shown)

    unlimited = LimitSettings(search_per_minute=0, ask_per_minute=0, ingest_per_minute=0, admin_per_minute=0)
    chosen = {"limits": unlimited, "answer": AnswerSettings(passages=2 * len(_COLLECTIONS))}
    assert on_platform(settings.model_copy(update=chosen), inside) > 0


async def _library(platform: Platform, folder: Path) -> Library:
    library = Library()
    for name, marker in _COLLECTIONS.items():
        text = f"# About {marker}\n\nThe common secret word of this collection is {marker}.\n"
        source = await platform.sources.add(
            NewSource("shared", str(write(folder / marker, {f"{marker}.md": text})), name)
        )
        library.sources[name] = source["id"]
        synced = await platform.sources.queue_sync(await platform.sources.find("shared", name))
        uploaded = await platform.accept_upload(name, f"up{marker}.md", text.encode(), OPERATOR)
        library.jobs[name] = [synced["id"], uploaded["job_id"]]
    async with working(platform):
        for job in library.all_jobs():
            while (await platform.jobs.show(UUID(job)))["status"] != "succeeded":
                await asyncio.sleep(0.02)
    for document in (await platform.catalog.seen_by(OPERATOR).documents())["items"]:
        library.documents.setdefault(document["collection"], []).append(document)
    assert [len(library.documents[name]) for name in _COLLECTIONS] == [2] * len(_COLLECTIONS)
    return library


async def _conversations(platform: Platform, account: str) -> list[Conversation]:
    """A conversation about each collection, and one about all of them, two at a time and together."""
    ids = dict(await platform.database.fetch("SELECT name, id FROM collections"))
    one = [(frozenset({name}),) for name in _COLLECTIONS]
    pairs = tuple(frozenset(pair) for pair in pairwise(_COLLECTIONS))
    found: list[Conversation] = []
    for turns in (*one, (*pairs, frozenset(_COLLECTIONS), frozenset[str]())):
        markers = [" ".join(sorted(_COLLECTIONS[name] for name in among)) for among in turns]
        session = await platform.sessions.begin(account, f"What is {markers[0]}?")
        for among, marker in zip(turns, markers, strict=True):
            body = {"answer": f"It is {marker}.", "citations": [], "collections": sorted(among)}
            among_ids = [ids[name] for name in among]
            await platform.sessions.add(session.id, account, f"What is {marker}?", body, among_ids)
        found.append(Conversation(str(session.id), turns))
    return found


@asynccontextmanager
async def _client(platform: Platform) -> AsyncGenerator[httpx.AsyncClient]:
    """The real application on this platform, asked without a network between."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Platform]:
        yield platform

    app = create_app(opened, platform.settings.http)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=30) as client,
    ):
        await app.state.ready.wait()
        yield client


async def _check_callers(
    platform: Platform,
    client: httpx.AsyncClient,
    library: Library,
    readers: dict[str, Readable],
    roles: dict[str, str],
    callers: list[Credential],
) -> int:
    """How many collections the callers could read, when each saw those and nothing of the others."""
    for name, allowed in readers.items():
        chosen = Readers(allowed.everyone, tuple(allowed.roles), tuple(allowed.users))
        await set_readers(platform.database, name, chosen)
    headers = [await _credentials(platform, who) for who in callers]  # before the roles: a key outlives a lesser role
    for user, role in roles.items():
        await platform.access.people.set_role(user, role, OPERATOR)  # type: ignore[arg-type]
    shown = 0
    for who, sent in zip(callers, headers, strict=True):
        if not who.key:
            assert who.user is not None
            sent = await _token(platform, who.user)
        permitted = {name for name, allowed in readers.items() if _may_read(who, roles, name, allowed)}
        await _Check(client, library, sent, _scopes(who, roles), permitted, who.user or _PROGRAM).everything()
        await _check_history(platform, library, sent, permitted, who.user or _PROGRAM)
        shown += len(permitted)
    return shown


async def _check_history(
    platform: Platform, library: Library, sent: dict[str, str], permitted: set[str], account: str
) -> None:
    """What a question is asked with holds only turns that may be shown; of nobody else's conversation there is any."""
    caller = await platform.access.gate.identify(sent.get("X-API-Key"), sent.get("Authorization"), "local")
    assert caller.account == account
    for owner, conversations in library.sessions.items():
        for each in conversations:
            if owner == account:
                told = await platform.sessions.history(caller, each.id)
                assert [turn.number for turn in told] == each.open_to(permitted)
                assert not any(_COLLECTIONS[name] in str(told) for name in set(_COLLECTIONS) - permitted)
            else:
                with pytest.raises(NotFound):
                    await platform.sessions.history(caller, each.id)


async def _credentials(platform: Platform, who: Credential) -> dict[str, str]:
    if not who.key:
        return {}
    if who.user is not None:
        await platform.access.people.set_role(who.user, "admin", OPERATOR)  # so that any scope can be given
    only = sorted(who.only) if who.only is not None else None
    made = await platform.access.keys.create(NewKey("drawn", sorted(who.scopes), who.user, only), OPERATOR)
    return {"X-API-Key": made["key"]}


async def _token(platform: Platform, user: str) -> dict[str, str]:
    row = await people.credentials(platform.database, user)
    assert row is not None
    return {"Authorization": f"Bearer {await platform.access.tokens.give(row[0], row[4])}"}


@dataclass(frozen=True)
class _Check:
    """Every way of reading, tried by one caller."""

    client: httpx.AsyncClient
    library: Library
    credentials: dict[str, str]
    scopes: set[str]
    permitted: set[str]
    account: str

    async def everything(self) -> None:
        await self._searches()
        await self._answers()
        await self._chats()
        await self._collections()
        await self._documents()
        await self._sources_and_jobs()
        await self._sessions()

    @property
    def hidden(self) -> set[str]:
        return set(_COLLECTIONS) - self.permitted

    async def _call(self, scope: str, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer: refused without the scope, and holding no marker of what is hidden, with it or without."""
        answer = await self.client.request(method, path, headers=self.credentials, **more)
        text = _contents(answer) + str(answer.headers)
        for name in self.hidden:
            assert _COLLECTIONS[name] not in text, (method, path, more, name)
            if name not in path + str(more):  # what was asked for by name is told back
                assert f'"{name}"' not in text, (method, path, more, name)
                assert f"'{name}'" not in text, (method, path, more, name)
        if scope not in self.scopes:
            assert answer.status_code == 403, (method, path, answer.text)
        else:
            assert answer.status_code in {200, 404}, (method, path, answer.text)
        return answer

    async def _same_as_missing(self, scope: str, method: str, hidden: str, missing: str, path: str, body: Any) -> None:
        """What is hidden cannot be told from what is not there."""

        def put(value: Any, name: str) -> Any:
            return value.replace("NAME", name) if isinstance(value, str) else value

        answers: list[tuple[int, str]] = []
        for name in (hidden, missing):
            sent = {key: [put(each, name) for each in value] if isinstance(value, list) else put(value, name)
                    for key, value in body.items()} if body else None  # fmt: skip
            answer = await self._call(scope, method, put(path, name), json=sent)
            answers.append((answer.status_code, answer.text.replace(name, "NAME")))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] == (404 if scope in self.scopes else 403)

    async def _searches(self) -> None:
        for mode in ("hybrid", "dense", "lexical"):
            body = {"query": _QUESTION, "mode": mode, "limit": 100}
            found = (await self._call("search", "POST", "/api/v1/search", json=body)).json()["passages"]
            assert {each["collection"] for each in found} == self.permitted, mode
            assert {_COLLECTIONS[name] for name in self.permitted} <= set(
                " ".join(each["text"] for each in found).replace(".", " ").split()
            )
        for name in self.hidden:
            body = {"query": _QUESTION, "collections": ["NAME"]}
            await self._same_as_missing("search", "POST", name, _NEVER, "/api/v1/search", body)
        body = {"query": _QUESTION, "sources": ["shared"], "limit": 100}
        answer = await self._call("search", "POST", "/api/v1/search", json=body)
        found = answer.json()["passages"] if answer.status_code == 200 else []
        assert {each["collection"] for each in found} == self.permitted

    async def _answers(self) -> None:
        plain = {"question": _QUESTION, "generate": False}
        whole = await self._call("ask", "POST", "/api/v1/ask", json=plain)
        streamed = await self._call("ask", "POST", "/api/v1/ask", json={"question": _QUESTION, "stream": True})
        if "ask" not in self.scopes:
            return
        citations = whole.json()["citations"]
        assert {each["collection"] for each in citations} <= self.permitted
        assert bool(citations) == bool(self.permitted)
        assert "event: done" in streamed.text
        assert ("event: citation" in streamed.text) == bool(self.permitted)
        for name in sorted(self.permitted)[:1]:
            body = {**plain, "collections": [name]}
            answer = (await self._call("ask", "POST", "/api/v1/ask", json=body)).json()
            assert {each["collection"] for each in answer["citations"]} == {name}
        for name in sorted(self.hidden)[:1]:
            for stream in (False, True):
                body = {"question": _QUESTION, "collections": ["NAME"], "stream": stream}
                await self._same_as_missing("ask", "POST", name, _NEVER, "/api/v1/ask", body)

    async def _chats(self) -> None:
        """Answers a model wrote, some of them for somebody with other rights; over the OpenAI protocol too."""
        listed = await self._call("search", "GET", "/v1/models")
        assert {each["id"] for each in listed.json()["data"]} == {"groundwork"} | self.permitted
        again = await self._call("ask", "POST", "/api/v1/ask", json={"question": _QUESTION})
        body = {"model": "groundwork", "messages": [{"role": "user", "content": _QUESTION}]}
        whole = await self._call("ask", "POST", "/v1/chat/completions", json=body)
        streamed = await self._call("ask", "POST", "/v1/chat/completions", json={**body, "stream": True})
        for name in sorted(self.hidden)[:1]:
            await self._same_as_missing("search", "GET", name, _NEVER, "/v1/models/NAME", None)
            named = {**body, "model": "NAME"}
            await self._same_as_missing("ask", "POST", name, _NEVER, "/v1/chat/completions", named)
        if "ask" not in self.scopes:
            return
        assert again.json()["cached"] == bool(self.permitted)
        assert whole.json()["citations"] == again.json()["citations"]
        assert {each["collection"] for each in whole.json()["citations"]} == self.permitted
        assert all(_COLLECTIONS[name] in streamed.text for name in self.permitted)

    async def _collections(self) -> None:
        listed = (await self._call("search", "GET", "/api/v1/collections")).json()["items"]
        assert {each["name"] for each in listed} == self.permitted
        for name, marker in _COLLECTIONS.items():
            if name in self.permitted:
                assert (await self._call("search", "GET", f"/api/v1/collections/{name}")).json()["name"] == name
                assert marker in _contents(await self._call("search", "GET", f"/api/v1/collections/{name}/export"))
            else:
                for path in ("/api/v1/collections/NAME", "/api/v1/collections/NAME/export"):
                    await self._same_as_missing("search", "GET", name, _NEVER, path, None)
                await self._same_as_missing("search", "GET", name, _NEVER, "/api/v1/documents?collection=NAME", None)

    async def _documents(self) -> None:
        listed = (await self._call("search", "GET", "/api/v1/documents")).json()
        assert {each["collection"] for each in listed["items"]} == self.permitted
        assert len(listed["items"]) == 2 * len(self.permitted)
        assert listed["next_cursor"] is None
        for name, documents in self.library.documents.items():
            for document in documents:
                ways = ("", "/text", "/versions", f"/text?version={document['version']}&start=0&end=5")
                for way in ways:
                    path = f"/api/v1/documents/{document['id']}{way}"
                    if name in self.permitted:
                        assert (await self._call("search", "GET", path)).status_code == 200
                    else:
                        unseen = f"/api/v1/documents/NAME{way}"
                        await self._same_as_missing("search", "GET", document["id"], str(uuid4()), unseen, None)

    async def _sources_and_jobs(self) -> None:
        sources = await self._call("ingest", "GET", "/api/v1/sources")
        jobs = await self._call("ingest", "GET", "/api/v1/jobs?limit=4")
        if "ingest" in self.scopes:
            assert {each["collection"] for each in sources.json()["items"]} == self.permitted
            assert await self._all_jobs(jobs.json()) == {
                job for name in self.permitted for job in self.library.jobs[name]
            }
        await self._source_by_name()
        for name, source in self.library.sources.items():
            await self._one("ingest", name, f"/api/v1/sources/{source}")
            await self._one("ingest", name, f"/api/v1/sources/{source}/plan")
            for job in self.library.jobs[name]:
                await self._one("ingest", name, f"/api/v1/jobs/{job}")
                await self._one("ingest", name, f"/api/v1/jobs/{job}/events")

    async def _sessions(self) -> None:
        listed = await self._call("ask", "GET", "/api/v1/sessions")
        own = self.library.sessions[self.account]
        if "ask" in self.scopes:
            assert {each["id"] for each in listed.json()["items"]} == {each.id for each in own}
        for conversation in own:
            path = f"/api/v1/sessions/{conversation.id}"
            for way in ("", "/export", "/export?format=markdown"):
                answer = await self._call("ask", "GET", path + way)
                if "ask" not in self.scopes:
                    continue
                for number, among in enumerate(conversation.turns, start=1):
                    words = " ".join(sorted(_COLLECTIONS[name] for name in among))
                    assert (f"It is {words}." in answer.text) == (number in conversation.open_to(self.permitted))
        for account, others in self.library.sessions.items():
            for way in ("", "/export") if account != self.account else ():
                unseen = f"/api/v1/sessions/NAME{way}"
                await self._same_as_missing("ask", "GET", others[-1].id, str(uuid4()), unseen, None)

    async def _source_by_name(self) -> None:
        """Every collection has a source of that name; those that are hidden do not make it ambiguous."""
        answer = await self.client.get("/api/v1/sources/shared", headers=self.credentials)
        expected = {0: 404, 1: 200}.get(len(self.permitted), 409) if "ingest" in self.scopes else 403
        assert answer.status_code == expected, answer.text
        for name in self.hidden:
            assert name not in answer.text.replace("(" + ", ".join(sorted(self.permitted)) + ")", "")
            assert _COLLECTIONS[name] not in answer.text

    async def _all_jobs(self, page: dict[str, Any]) -> set[str]:
        known = set(self.library.all_jobs())
        seen = {each["id"] for each in page["items"]}
        while page["next_cursor"] is not None:
            assert page["next_cursor"] in seen, "a cursor that names a job the caller may not see"
            page = (await self._call("ingest", "GET", f"/api/v1/jobs?limit=4&cursor={page['next_cursor']}")).json()
            seen |= {each["id"] for each in page["items"]}
        return seen & known

    async def _one(self, scope: str, collection: str, path: str) -> None:
        if collection in self.permitted or scope not in self.scopes:
            answer = await self._call(scope, "GET", path)
            assert answer.status_code == (200 if scope in self.scopes else 403), (path, answer.text)
            return
        thing = path.split("/")[4]
        await self._same_as_missing(scope, "GET", thing, str(uuid4()), path.replace(thing, "NAME"), None)


def _contents(answer: httpx.Response) -> str:
    """The text of an answer; of a file, what is in it."""
    if not answer.headers["Content-Type"].startswith("application/zip"):
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return " ".join(each + archive.read(each).decode("utf-8", "replace") for each in archive.namelist())
