"""Streams of events: what a client reads from the first to the last."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message

from groundwork.answer.events import Event
from groundwork.api import events
from groundwork.errors import Unavailable


async def _stream(source: AsyncIterator[Event], stopping: asyncio.Event, keep_alive: float = 5.0) -> list[Any]:
    app = FastAPI()
    app.state.stopping = stopping
    sent: list[bytes] = []

    async def receive() -> Message:
        return await asyncio.Event().wait() or {}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    async with asyncio.timeout(5):
        await events.event_stream(source, keep_alive)({"type": "http", "app": app}, receive, send)
    return [_read(block) for block in b"".join(sent).decode().split("\n\n") if block]


def _read(block: str) -> Any:
    if block.startswith(":"):
        return block
    name, data = block.split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STOPPING_SECONDS", 0.1)


def test_a_stream_that_a_stop_cuts_off_says_so_and_its_work_ends() -> None:
    ended: list[str] = []

    async def endless(stopping: asyncio.Event) -> AsyncIterator[Event]:
        try:
            yield Event("progress", {"step": 1})
            stopping.set()
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def check() -> list[Any]:
        stopping = asyncio.Event()
        seen = await _stream(endless(stopping), stopping)
        await asyncio.sleep(0.01)
        assert ended == ["ended"]
        return seen

    progress, error = asyncio.run(check())
    assert progress == ("progress", {"step": 1})
    assert error == ("error", {"kind": "unavailable", "message": error[1]["message"]})
    assert "stopping" in error[1]["message"]


def test_a_stream_that_is_cut_off_keeps_what_was_said() -> None:
    async def endless(stopping: asyncio.Event) -> AsyncIterator[Event]:
        for text in ("forty", "-two"):
            yield Event("delta", {"text": text})
        stopping.set()
        await asyncio.Event().wait()

    async def check() -> list[Any]:
        stopping = asyncio.Event()
        return await _stream(endless(stopping), stopping)

    name, body = asyncio.run(check())[-1]
    assert (name, body["answer"]) == ("error", "forty-two")


def test_an_answer_that_is_nearly_there_is_finished_although_the_service_stops() -> None:
    async def short() -> AsyncIterator[Event]:
        yield Event("delta", {"text": "forty"})
        await asyncio.sleep(0.02)
        yield Event("done", {})

    async def check() -> list[Any]:
        stopping = asyncio.Event()
        stopping.set()
        return await _stream(short(), stopping)

    assert asyncio.run(check()) == [("delta", {"text": "forty"}), ("done", {})]


def test_a_quiet_stream_is_kept_alive_and_a_failure_is_its_last_event() -> None:
    async def failing() -> AsyncIterator[Event]:
        yield Event("delta", {"text": "forty"})
        await asyncio.sleep(0.1)
        raise Unavailable("The model does not answer.")

    async def check() -> list[Any]:
        return await _stream(failing(), asyncio.Event(), keep_alive=0.03)

    seen = asyncio.run(check())
    assert seen[0] == ("delta", {"text": "forty"})
    assert set(seen[1:-1]) == {": keep-alive"}
    told = {"kind": "unavailable", "message": "The model does not answer.", "answer": "forty", "route": []}
    assert seen[-1] == ("error", told)
