"""Secrets planted wherever secrets go come out nowhere: no log line, error, metric, setting, report or audit entry."""

import json
import socket
import tempfile
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from groundwork.errors import Invalid
from groundwork.settings import load_settings
from plugins.embedding_server import Reply, serve_embeddings
from plugins.model_server import Asked, Behaviour, ModelServer, serve_models
from plugins.service import Reply as Answer
from plugins.service import Service, command, command_json, service

_EMBEDDER_KEY, _SPACE_KEY, _S3_SECRET, _S3_TOKEN, _REDIS = (
    f"canary{n}{name}Zq8v" for n, name in enumerate(("embedder", "space", "s3secret", "s3token", "redis"))
)
_DATABASE, _ADMIN, _PASSWORD, _NEW, _WRONG = (
    f"canary{n}{name}Zq8v" for n, name in enumerate(("database", "admin", "hers", "renewed", "guess"), 5)
)
_INLINE, _FILED, _CACHE = (f"canary{n}{name}Zq8v" for n, name in enumerate(("inline", "filed", "cache"), 12))
_KEY, _BEARER = "gw_0badcafe_canary10keyZq8v", "eyJhbGciOiJIUzI1NiJ9.canary11bearerZq8v.x"
_PLANTED = [_EMBEDDER_KEY, _SPACE_KEY, _S3_SECRET, _S3_TOKEN, _REDIS, _DATABASE, _ADMIN]
_PLANTED += [_PASSWORD, _NEW, _WRONG, _KEY, _BEARER, _INLINE, _FILED, _CACHE]
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Seen:
    """All that came out, and by which way."""

    said: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    secrets: list[str] = field(default_factory=lambda: list(_PLANTED))

    def answer(self, where: str, answer: Answer) -> Answer:
        """Notes body and headers of an answer over HTTP."""
        self.said.append((where, answer.content.decode("utf-8", "replace") + str(dict(answer.headers))))
        return answer

    def leaks(self) -> list[str]:
        """Where which secret came out."""
        return [
            f"{where}: {secret}"
            for where, text in self.said
            for secret in self.secrets
            for form in {secret, quote(secret, safe="")}
            if form in text
        ]


@contextmanager
def _refuser(key: str) -> Generator[str]:
    """An embedding server that refuses whoever asks, and says which key they brought."""
    with serve_embeddings() as server:
        for status in (400, 401, 403) * 100:
            server.replies.append(Reply(status, json.dumps({"error": f"Incorrect API key provided: {key}"})))
        yield server.url


def _repeater() -> Callable[[Asked], Behaviour]:
    """A provider that repeats the key it was sent wherever there is room for it, each time another way."""
    turns = count()

    def repeat(asked: Asked) -> Behaviour:
        key = asked.headers["authorization"].removeprefix("Bearer ")
        error = json.dumps({"error": {"message": f"Incorrect API key provided: {key}", "type": key, "code": key}})
        stream, page = {"Content-Type": "text/event-stream"}, {"Content-Type": f"text/html; key={key}"}
        ways = (
            *(Behaviour(status=status, body=error, headers={"X-Key": key}) for status in (400, 401, 403, 429, 500)),
            Behaviour(body=f"data: {error}\n\n", headers=stream),
            Behaviour(body=f"data: {{{key}\n\n", headers=stream),
            Behaviour(body=f"<title>{key}</title>", headers=page),
            Behaviour(status=302, body=key, headers={"Location": f"http://127.0.0.1:9/{key}?key={key}"}),
        )
        return ways[next(turns) % len(ways)]

    return repeat


def _providers(url: str, file: Path) -> list[dict[str, Any]]:
    own: dict[str, Any] = {"kind": "compatible", "url": f"{url}/v1", "models": ["m"], "price": {}}
    return [{**own, "name": "inline", "api_key": _INLINE}, {**own, "name": "filed", "api_key_file": str(file)}]


def _settings() -> dict[str, str]:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    return {
        "LOG_LEVEL": "debug",
        "EMBEDDER__API_KEY": _EMBEDDER_KEY,
        "EMBEDDER__SPACE_API_KEYS__OTHER": _SPACE_KEY,
        "EMBEDDER__TIMEOUT_SECONDS": "2",
        "SOURCES__S3_ENDPOINT": f"http://127.0.0.1:{port}",
        "SOURCES__S3_ACCESS_KEY_ID": "key-id",
        "SOURCES__S3_SECRET_ACCESS_KEY": _S3_SECRET,
        "SOURCES__S3_SESSION_TOKEN": _S3_TOKEN,
        "SOURCES__ALLOW_PRIVATE_ADDRESSES": "true",
        "LIMITS__REDIS_URL": f"redis://:{_REDIS}@127.0.0.1:{port}/0",
        "CACHE__REDIS_URL": f"redis://:{_CACHE}@127.0.0.1:{port}/0",
        "LLMS__BREAKER_FAILURES": "1000",
        "HTTP__REQUEST_TIMEOUT_SECONDS": "4",
    }


def test_no_secret_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", _ADMIN)
    data_dir, log = Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data", tmp_path / "service.log"
    settings = {**_settings(), "LOG_FORMAT": "json"}
    seen = Seen()
    with service(data_dir, log, **settings) as running:
        seen.secrets.append(running.key)
        _identity(running, seen)
        _requests(running, seen)
        _outages(running, seen)
        _commands(data_dir, settings, seen, tmp_path)
    seen.said += [(str(path), path.read_text("utf-8", "replace")) for path in (log, *_written(data_dir))]
    assert len(log.read_text()) > 300, "the service wrote nothing"
    written = {Path(where).name for where, _ in seen.said}
    assert {"postgres.log", "keeper.log", "check.prom", "check.json"} <= written, written
    assert len(seen.said) > 60
    assert seen.leaks() == []


def test_no_key_of_a_provider_comes_out(tmp_path: Path) -> None:
    data_dir, log = Path(tempfile.mkdtemp(prefix="groundwork-http-")) / "data", tmp_path / "service.log"
    (tmp_path / "key").write_text(f"{_FILED}\n")
    seen = Seen()
    with serve_models() as models:
        models.decide = _repeater()
        providers = json.dumps(_providers(models.url, tmp_path / "key"))
        settings = {**_settings(), "LLMS__PROVIDERS": providers}
        with service(data_dir, log, **settings) as running:
            seen.secrets.append(running.key)
            _language_models(running, seen, models)
            _commands_of_models(data_dir, settings, seen)
    seen.said += [(str(path), path.read_text("utf-8", "replace")) for path in (log, *_written(data_dir))]
    assert len(log.read_text()) > 300, "the service wrote nothing"
    assert seen.leaks() == []


def _identity(running: Service, seen: Seen) -> None:
    """People and keys, with what holds and what does not."""
    made = running.call("POST", "/admin/users", {"name": "ada", "password": _PASSWORD})
    assert seen.answer("add ada", made).status == 201
    seen.answer("add her twice", running.call("POST", "/admin/users", {"name": "ada", "password": _PASSWORD}))
    nobody = running.knowing("")
    for form in (
        {"username": "ada", "password": _WRONG},
        {"username": "nobody", "password": _WRONG},
        {"username": "x" * 300, "password": _WRONG},
        {"username": "ada", "password": _WRONG * 100},
        {"password": _WRONG},
        {"username": _WRONG},
        {"username": ["ada", "ben"], "password": [_WRONG, _PASSWORD]},
    ):
        content = urlencode(form, doseq=True).encode()
        seen.answer(f"token {list(form)}", nobody.call("POST", "/auth/token", content=content, headers=_FORM))
    seen.answer("token as JSON", nobody.call("POST", "/auth/token", {"username": "ada", "password": _WRONG}))
    form = urlencode({"username": "ada", "password": _PASSWORD}).encode()
    signed_in = nobody.call("POST", "/auth/token", content=form, headers=_FORM)
    assert signed_in.status == 200
    token = signed_in.body["access_token"]
    seen.secrets.append(token)
    hers = {"Authorization": f"Bearer {token}"}
    assert seen.answer("me", running.call("GET", "/auth/me", headers=hers)).status == 200
    for body in (
        {"current": _WRONG, "new": _NEW},
        {"current": _PASSWORD, "new": "ada"},
        {"current": [_PASSWORD], "new": {"password": _NEW}},
        {"current": _PASSWORD},
        {"current": _PASSWORD, "new": _NEW * 100},
        {"current": "\0" + _PASSWORD, "new": "\ud800" + _NEW},
        [_PASSWORD, _NEW],
        _PASSWORD,
    ):
        seen.answer("password", running.call("POST", "/auth/password", body, headers=hers))
    changed = running.call("POST", "/auth/password", {"current": _PASSWORD, "new": _NEW}, headers=hers)
    assert seen.answer("new password", changed).status == 204
    for headers in ({"X-API-Key": _KEY}, {"Authorization": f"Bearer {_BEARER}"}, {"Authorization": f"Basic {_BEARER}"},
                    {"Authorization": f"Bearer {_KEY}"}, {"X-API-Key": _KEY + "\u00e9"}, hers):  # fmt: skip
        for method, path in (("GET", "/auth/me"), ("POST", "/api/v1/search"), ("DELETE", "/admin/keys/x")):
            answer = seen.answer(
                f"{method} {path}", running.call(method, path, {} if method == "POST" else None, headers=headers)
            )
            assert answer.status in {401, 422}


def _requests(running: Service, seen: Seen) -> None:
    """Secrets where none belong: in bodies that are refused, in query strings."""
    for body in (
        {"name": "eve", "password": [_PASSWORD]},
        {"name": "eve", "password": _PASSWORD, "role": "emperor"},
        {"name": "eve " * 60, "password": _PASSWORD},
        {"name": "e v e", "password": _PASSWORD},
        {"password": _PASSWORD},
        {"name": _PASSWORD, "password": _PASSWORD * 90},
    ):
        assert seen.answer("add eve", running.call("POST", "/admin/users", body)).status == 422
    for content in (
        f'{{"name": "eve", "password": "{_PASSWORD}"'.encode(),
        _PASSWORD.encode(),
        b"\xff" + _NEW.encode(),
    ):
        assert seen.answer("no JSON", running.call("POST", "/admin/users", content=content)).status in {400, 422}
    for path in (
        f"/api/v1/documents?limit=0&api_key={_KEY}",
        f"/api/v1/collections?token={_BEARER}&cursor=%00",
        f"/auth/me?password={_PASSWORD}",
        f"/nothing?password={_PASSWORD}",
        f"/api/v1/documents/x/text?start=-1&access_token={_BEARER}",
    ):
        seen.answer(f"query of {path[:20]}", running.call("GET", path))
    for body in (
        {"name": "s", "location": f"https://ada:{_PASSWORD}@127.0.0.1/a.git"},
        {"name": "s", "location": f"git+https://ada:{_PASSWORD}@127.0.0.1/a"},
        {"name": "s", "location": f"https://ada:{_PASSWORD}@127.0.0.1/"},
        {"name": "s", "location": f"s3+https://ada:{_PASSWORD}@127.0.0.1/bucket"},
        {"name": "s", "location": f"ftp://ada:{_PASSWORD}@127.0.0.1/a"},
        {"name": "s", "location": "https://127.0.0.1/", "options": {"urls": [f"https://{_PASSWORD}@127.0.0.1/"]}},
        {"name": "s", "location": "s3://bucket/x", "options": {"secret_access_key": _S3_SECRET}},
        {"name": "s", "location": "s3://bucket/x", "options": {"endpoint": f"https://ada:{_S3_SECRET}@127.0.0.1"}},
    ):
        assert seen.answer(f"source {body}"[:40], running.call("POST", "/api/v1/sources", body)).status == 422, body
    for body in (
        {"name": "t", "kind": "openai", "api_key": _SPACE_KEY},
        {"name": "t", "kind": "openai", "url": f"http://ada:{_SPACE_KEY}@127.0.0.1:9/v1"},
    ):
        assert seen.answer("space", running.call("POST", "/api/v1/spaces", body)).status in {422, 503}


def _outages(running: Service, seen: Seen) -> None:
    """Servers that refuse or do not answer."""
    with _refuser(_SPACE_KEY) as url:
        named = {"name": "other", "kind": "openai", "url": url, "model": "m", "dimension": 8}
        for _ in range(3):
            assert seen.answer("refused key", running.call("POST", "/api/v1/spaces", named)).status == 503
    added = running.call("POST", "/api/v1/sources", {"name": "bucket", "location": "s3://bucket/prefix"})
    assert seen.answer("S3 source", added).status == 201
    assert seen.answer("S3 plan", running.call("GET", "/api/v1/sources/bucket/plan")).status >= 400
    for path in ("/health", "/health/detailed", "/admin/audit", "/admin/users", "/admin/keys", "/admin/secrets",
                 "/admin/security", "/admin/stats", "/api/v1/jobs", "/api/v1/sources", "/api/v1/spaces"):  # fmt: skip
        assert seen.answer(path, running.call("GET", path)).status == 200


def _language_models(running: Service, seen: Seen, models: ModelServer) -> None:
    """Providers that repeat their key, met in every way that answers are asked for."""
    document = running.upload("pump.md", b"# Pump\n\nThe Heron pump moves forty litres a minute.\n").body
    assert running.document_when_done(document["id"])["status"] == "ready"
    asked = "How much does the Heron pump move?"
    for turn in range(5):
        for stream in (False, True):
            body = {"question": f"{asked} {turn}", "stream": stream}
            assert seen.answer("ask", running.call("POST", "/api/v1/ask", body)).status == 200
            body = {"model": "default", "messages": [{"role": "user", "content": f"{asked} {turn}"}], "stream": stream}
            bearer = {"Authorization": f"Bearer {running.key}"}
            answer = seen.answer("chat", running.call("POST", "/v1/chat/completions", body, headers=bearer))
            assert answer.status == 200
    assert {each.headers["authorization"] for each in models.requests} == {f"Bearer {_INLINE}", f"Bearer {_FILED}"}
    assert len(models.requests) == 40, "both providers, each time"
    for provider in ("inline", "filed"):
        switched = running.call("PUT", f"/api/v1/breakers/{provider}", {"switch": "open"})
        assert seen.answer("breaker", switched).status == 200
    held = running.call("POST", "/api/v1/ask", {"question": asked})
    assert "open" in str(seen.answer("ask", held).body["route"])
    for path in ("/metrics", "/api/v1/models", "/v1/models", "/api/v1/breakers", "/health/detailed", "/admin/audit"):
        assert seen.answer(path, running.call("GET", path)).status == 200


def _commands(data_dir: Path, settings: dict[str, str], seen: Seen, folder: Path) -> None:
    """The command line, with settings that hold and settings that do not."""

    def note(*arguments: str, **more: str) -> int:
        done = command(data_dir, *arguments, **{**settings, **more})
        seen.said.append((" ".join(arguments), done.stdout + done.stderr))
        return done.returncode

    url = f"postgresql://ada:{_DATABASE}@127.0.0.1:9/groundwork"
    assert note("users", "create-admin", "root") == 0
    assert note("users", "create-admin", "root") != 0
    for arguments in (("settings",), ("settings", "--json")):
        assert note(*arguments, DATABASE_URL=url) == 0
    assert note("health", "--json", DATABASE_URL=url, DATABASE__CONNECT_TIMEOUT_SECONDS="1") != 0
    assert note("settings", DATABASE_URL=f"nonsense {_DATABASE}", EMBEDDER__KIND="nonsense") != 0
    assert note("settings", EMBEDDER__SPACE_API_KEYS=f'["{_SPACE_KEY}"]') != 0
    assert note("settings", EMBEDDER__SPACE_API_KEYS=f'{{"other": "{_SPACE_KEY}"') != 0
    _refused(seen, EMBEDDER__SPACE_API_KEYS=f'["{_SPACE_KEY}"]')
    _refused(seen, EMBEDDER__SPACE_API_KEYS=f'{{"other": "{_SPACE_KEY}"')
    assert note("check", "--json") == 0
    note("health", "--json")
    assert note("security", "report", "--json") in {0, 1}
    assert note("audit", "list", "--json") == 0
    assert note("audit", "export", str(folder / "audit.jsonl")) == 0
    seen.said.append(("audit export", (folder / "audit.jsonl").read_text()))
    with _refuser(_EMBEDDER_KEY) as url:
        for _ in range(3):
            assert note("spaces", "create", "x", "--kind", "openai", EMBEDDER__KIND="openai", EMBEDDER__URL=url) != 0
    assert command_json(data_dir, "audit", "verify", **settings)["whole"]


def _commands_of_models(data_dir: Path, settings: dict[str, str], seen: Seen) -> None:
    """Providers at the command line, with settings that hold and settings that do not."""

    def note(*arguments: str, **more: str) -> int:
        done = command(data_dir, *arguments, **{**settings, **more})
        seen.said.append((" ".join(arguments), done.stdout + done.stderr))
        return done.returncode

    assert note("models", "list", "--json") == 0
    assert note("settings") == 0
    assert note("models", "test", "--yes") == 1
    [inline, filed] = json.loads(settings["LLMS__PROVIDERS"])
    unsendable = json.dumps([{**inline, "api_key": f"{_INLINE} \u00e9"}])
    assert note("models", "test", "inline", "--yes", LLMS__PROVIDERS=unsendable) == 1
    assert note("models", "list", CACHE__REDIS_URL=f"nonsense://:{_CACHE}@127.0.0.1:9") != 0
    assert note("settings", LLMS__PROVIDERS=json.dumps([{**inline, "secret": _INLINE}])) != 0
    for wrong in (
        {**inline, "api_key_file": filed["api_key_file"]},
        {**inline, "api_key": [_INLINE]},
        {**inline, "url": f"http://ada:{_INLINE}@127.0.0.1:9/v1"},
        {**inline, "price": {"per_request": _INLINE}},
    ):
        _refused(seen, LLMS__PROVIDERS=json.dumps([wrong]))
    _refused(seen, LLMS__PROVIDERS=settings["LLMS__PROVIDERS"][:-3])
    _refused(seen, LLMS__PROVIDERS=f'{{"api_key": "{_INLINE}"}}')


def _refused(seen: Seen, **wrong: str) -> None:
    """Settings that are not taken, as they are told and as a log would show it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in wrong.items():
            patch.setenv(f"GROUNDWORK_{name}", value)
        with pytest.raises(Invalid) as refused:
            load_settings()
    seen.said.append((f"settings {list(wrong)}", "".join(traceback.format_exception(refused.value))))


def _written(data_dir: Path) -> Iterator[Path]:
    """Logs, metrics and whatever else lies under the data directory, but for the database itself."""
    for path in data_dir.rglob("*"):
        if path.is_file() and not path.is_relative_to(data_dir / "postgres"):
            yield path
