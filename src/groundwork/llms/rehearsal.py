"""One request to nobody, before the first that counts.

What client libraries put off until they are first used (imports, the building of types) takes most of a second, during which
an event loop would stand still. A rehearsal has it done in a thread: a stream of each protocol from a socket of this machine.
"""

import asyncio
import json
import threading
from contextlib import suppress
from typing import Any

from groundwork.llms import Message, ModelFailed, Prompt, Usage
from groundwork.llms.wire import Wire
from groundwork.settings.models import ProviderKind, ProviderSettings

_CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
_CHAT: list[dict[str, Any]] = [
    {**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Yes."}, "finish_reason": None}]},
    {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {**_CHUNK, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
]
_MESSAGES: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [],
                                          "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]  # fmt: skip
_PROMPT = Prompt("Be brief.", (Message("user", "Ready?"),), 16)

_done: set[bool] = set()
_one_at_a_time = threading.Lock()


def rehearse(kind: ProviderKind) -> None:
    """Plays one request of the protocol of this kind, once in a process. Call it in a thread without an event loop."""
    with _one_at_a_time:
        if (kind == "anthropic") not in _done:
            with suppress(ModelFailed, OSError):  # then the first request takes longer, no more
                asyncio.run(_play(kind))
            _done.add(kind == "anthropic")


async def _play(kind: ProviderKind) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}" + ("" if kind == "anthropic" else "/v1")
    settings = ProviderSettings(name="rehearsal", kind=kind, url=url, models=["m"])
    wire = Wire(settings, str)
    try:
        async for _ in wire.stream("m", _PROMPT, Usage()):
            pass
    finally:
        await wire.close()
        server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    events = _MESSAGES if b"/v1/messages" in head else _CHAT
    body = "".join(f"event: {each.get('type', 'message')}\ndata: {json.dumps(each)}\n\n" for each in events)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + body.encode())
    await writer.drain()
    writer.close()
