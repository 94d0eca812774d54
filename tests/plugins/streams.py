"""Many answers streamed at once over HTTP, each told by its own numbered pieces, so that one lost or misplaced is seen."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from plugins.model_server import Asked, Behaviour, says

_NUMBER = re.compile(r"question (\d+) of the rush")


def question(number: int) -> str:
    """What the stream of that number asks."""
    return f"What is known of question {number} of the rush?"


def numbered(pieces: int, between: float) -> Callable[[Asked], Behaviour]:
    """How a model server answers such questions: so many pieces, so many seconds apart."""

    def decide(asked: Asked) -> Behaviour:
        found = _NUMBER.findall(json.dumps(asked.body["messages"][-1]))
        return says(*_pieces(int(found[-1]) if found else 0, pieces), between=between)

    return decide


@dataclass
class Stream:
    """What came of one."""

    number: int
    events: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    seconds: float = 0.0

    def lost(self, pieces: int) -> str | None:
        """What is wrong with it; None when every event came, once and in order."""
        names = [name for name, _ in self.events]
        wanted = _pieces(self.number, pieces)
        told = [data["text"] for name, data in self.events if name == "delta"]
        if names != ["passages", *(["delta"] * pieces), "done"]:
            reason = self.events[-1][1].get("message") if names[-1:] == ["error"] else None
            return f"stream {self.number}: {len(told)} pieces, the last events {names[-2:]}, {reason}"
        whole = self.events[-1][1]["answer"] == "".join(wanted).rstrip()
        return None if told == wanted and whole else f"stream {self.number}: other words than were said"


async def all_at_once(port: int, key: str, streams: int) -> list[Stream]:
    """So many questions at the same moment, and every event of their answers."""
    return await asyncio.gather(*(_one(port, key, number) for number in range(streams)))


async def _one(port: int, key: str, number: int) -> Stream:
    told, began = Stream(number), time.monotonic()
    body = json.dumps({"question": question(number), "stream": True}).encode()
    head = (
        f"POST /api/v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    writer.write(head.encode() + body)
    name = ""
    while line := await reader.readline():  # the sizes of chunks stand between the lines of events, and are neither
        if line.startswith(b"event: "):
            name = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            told.events.append((name, json.loads(line[6:])))
    writer.close()
    told.seconds = time.monotonic() - began
    return told


def _pieces(number: int, pieces: int) -> list[str]:
    return [f"{number}-{place} " for place in range(pieces)]
