"""How long a request may take, and what becomes of one that takes longer."""

import asyncio
import time
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.api.app import create_app
from groundwork.api.timing import TimeLimit
from groundwork.settings import HttpSettings


def _scope(path: str = "/", method: str = "POST") -> dict[str, Any]:
    host = [(b"host", b"localhost")]
    return {"type": "http", "method": method, "path": path, "headers": host, "query_string": b"", "client": None}


async def _exchange(app: ASGIApp, receive: Receive, scope: Scope | None = None) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(10):
        await app(scope or _scope(), receive, send)
    return sent


def _body(*chunks: bytes, pause: float = 0.0, ends: bool = True) -> Receive:
    """A client that sends chunks with a pause before each, and then the end or nothing any more."""
    left = list(chunks)

    async def receive() -> Message:
        await asyncio.sleep(pause)
        if not left and not ends:
            await asyncio.Event().wait()
        more = len(left) > 1 or (bool(left) and not ends)
        return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": more}

    return receive


async def _read_all(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


def _headers(message: Message) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in message["headers"]}


def test_a_request_that_is_not_answered_in_time_is_given_up() -> None:
    ended: list[str] = []

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    start, body = asyncio.run(_exchange(TimeLimit(never, 0.05, 5), _body()))
    assert start["status"] == 503
    assert _headers(start)["retry-after"]
    assert b"GROUNDWORK_HTTP__REQUEST_TIMEOUT_SECONDS" in body["body"]
    assert ended == ["cancelled"]


def test_the_refusal_does_not_wait_for_work_that_is_hard_to_stop_and_nothing_follows_it() -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            await PlainTextResponse("too late")(scope, receive, send)

    async def check() -> None:
        sent: list[tuple[float, Message]] = []
        began = time.monotonic()

        async def send(message: Message) -> None:
            sent.append((time.monotonic() - began, message))

        await TimeLimit(stubborn, 0.05, 5)(_scope(), _body(), send)
        assert [message.get("status") for _, message in sent] == [503, None]
        assert all(after < 0.4 for after, _ in sent)
        assert time.monotonic() - began >= 0.5, "its place is given back when the work has ended"

    asyncio.run(check())


def test_work_that_ends_in_the_very_moment_it_is_given_up_is_still_answered_for() -> None:
    async def just_late(scope: Scope, receive: Receive, send: Send) -> None:
        asyncio.get_running_loop().call_later(
            0.01, time.sleep, 0.2
        )  # both clocks have run out when the loop looks again
        await asyncio.sleep(0.06)
        await PlainTextResponse("late")(scope, receive, send)

    sent = asyncio.run(_exchange(TimeLimit(just_late, 0.05, 5), _body()))
    assert [each.get("status") for each in sent] == [503, None]


def test_an_answer_that_has_begun_goes_on() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        async def events() -> Any:
            for _ in range(4):
                yield b"event"
                await asyncio.sleep(0.05)

        await StreamingResponse(events())(scope, receive, send)

    async def receive() -> Message:
        return await asyncio.Event().wait() or {}

    sent = asyncio.run(_exchange(TimeLimit(stream, 0.1, 0.1), receive))
    assert sent[0]["status"] == 200
    assert b"".join(each.get("body", b"") for each in sent) == b"event" * 4


def test_the_time_counts_from_the_end_of_the_body() -> None:
    receive = _body(*[b"x" * 2048] * 6, pause=0.05)
    start, body = asyncio.run(_exchange(TimeLimit(_read_all, 0.1, 0.2), receive))
    assert (start["status"], body["body"]) == (200, b"12288")


def test_a_body_that_stands_still_is_answered_with_408() -> None:
    began = time.monotonic()
    start, body = asyncio.run(_exchange(TimeLimit(_read_all, 5, 0.1), _body(b"x" * 100_000, ends=False)))
    assert time.monotonic() - began < 2
    assert (start["status"], _headers(start)["connection"]) == (408, "close")
    assert b"GROUNDWORK_HTTP__BODY_TIMEOUT_SECONDS" in body["body"]


def test_a_body_that_comes_in_drop_by_drop_is_answered_with_408() -> None:
    began = time.monotonic()
    receive = _body(*[b"x"] * 1000, pause=0.02)
    assert asyncio.run(_exchange(TimeLimit(_read_all, 5, 0.2), receive))[0]["status"] == 408
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/collections/manuals/export", 200),
        ("DELETE", "/api/v1/collections/manuals", 200),
        ("POST", "/api/v1/ask", 200),
        ("POST", "/v1/chat/completions", 200),
        ("POST", "/api/v1/search", 503),
        ("GET", "/api/v1/collections/manuals", 503),
        ("POST", "/api/v1/collections/manuals/export", 503),
    ],
)
def test_exports_and_removals_take_as_long_as_they_take(method: str, path: str, status: int) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.2)
        await PlainTextResponse("done")(scope, receive, send)

    sent = asyncio.run(_exchange(TimeLimit(slow, 0.05, 5), _body(), _scope(path, method)))
    assert sent[0]["status"] == status


def test_what_fails_in_time_fails_as_before() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(_exchange(TimeLimit(broken, 5, 5), _body()))


def test_a_server_that_stops_takes_the_work_with_it() -> None:
    async def check() -> list[str]:
        ended: list[str] = []

        async def never(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("ended")

        serving = asyncio.create_task(_exchange(TimeLimit(never, 5, 5), _body()))
        await asyncio.sleep(0.05)
        serving.cancel()
        await asyncio.wait({serving})
        await asyncio.sleep(0.01)
        return list(ended)

    assert asyncio.run(check()) == ["ended"]


def test_who_waits_while_a_server_stops_is_told_so() -> None:
    async def check() -> list[Message]:
        async def never(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.Event().wait()

        app = FastAPI()
        app.state.stopping = asyncio.Event()
        serving = asyncio.create_task(_exchange(TimeLimit(never, 5, 5), _body(), {**_scope(), "app": app}))
        await asyncio.sleep(0.05)
        app.state.stopping.set()
        serving.cancel()
        return await serving

    start, body = asyncio.run(check())
    assert start["status"] == 503
    assert b"stopping" in body["body"]


def test_the_whole_application_answers_a_stalled_upload_with_408_and_a_slow_route_with_503() -> None:
    def no_platform() -> Any:
        raise AssertionError("nothing here needs the platform")

    app = create_app(no_platform, HttpSettings(request_timeout_seconds=0.2, body_timeout_seconds=0.1))

    @app.post("/echo")
    async def echo(request: Request) -> int:  # pyright: ignore[reportUnusedFunction]
        return len(await request.body())

    @app.post("/slow")
    async def slow() -> None:  # pyright: ignore[reportUnusedFunction]
        await asyncio.sleep(5)

    stalled = asyncio.run(_exchange(app, _body(b"x", ends=False), _scope("/echo")))
    assert [each.get("status") for each in stalled] == [408, None]
    late = asyncio.run(_exchange(app, _body(), _scope("/slow")))
    assert [each.get("status") for each in late] == [503, None]
    assert _headers(late[0])["x-content-type-options"] == "nosniff"
