"""What providers of language models send, byte for byte as their protocols have it."""

import json
from collections.abc import Sequence
from typing import Any, Protocol

Tokens = tuple[int, int] | None


class Dialect(Protocol):
    """One protocol."""

    def opening(self, model: str, usage: Tokens) -> str:
        """What a stream begins with."""
        ...

    def piece(self, model: str, text: str) -> str:
        """Some words."""
        ...

    def closing(self, model: str, usage: Tokens, spoken: bool) -> str:
        """What says that all has been said."""
        ...

    def whole(self, model: str, pieces: Sequence[str], usage: Tokens) -> dict[str, Any]:
        """A reply that is not streamed; one without pieces has no choice in it."""
        ...

    def error(self, status: int, message: str) -> dict[str, Any]:
        """The body of an error."""
        ...


class OpenAI:
    """Chat completions."""

    def opening(self, model: str, usage: Tokens) -> str:
        return ""

    def piece(self, model: str, text: str) -> str:
        return self._chunk(
            model, [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]
        )

    def closing(self, model: str, usage: Tokens, spoken: bool) -> str:
        last = [{"index": 0, "delta": {}, "finish_reason": "stop"}] if spoken else []
        counted = self._chunk(model, [], usage=self._usage(usage)) if usage else ""
        return self._chunk(model, last) + counted + "data: [DONE]\n\n"

    def whole(self, model: str, pieces: Sequence[str], usage: Tokens) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(pieces)}
        body = self._body(model, "chat.completion")
        body["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}] if pieces else []
        return {**body, "usage": self._usage(usage)} if usage else body

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": "some_error", "code": None}}

    def _chunk(self, model: str, choices: list[dict[str, Any]], **more: Any) -> str:
        body = {**self._body(model, "chat.completion.chunk"), "choices": choices, **more}
        return f"data: {json.dumps(body)}\n\n"

    def _body(self, model: str, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1760000000, "model": model}

    def _usage(self, usage: tuple[int, int]) -> dict[str, int]:
        return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


class Anthropic:
    """Messages."""

    def opening(self, model: str, usage: Tokens) -> str:
        message = {**self._message(model), "content": [], "stop_reason": None, "usage": self._usage(usage, begun=True)}
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return (
            self._event({"type": "message_start", "message": message})
            + self._event(block)
            + self._event({"type": "ping"})
        )

    def piece(self, model: str, text: str) -> str:
        delta = {"type": "text_delta", "text": text}
        return self._event({"type": "content_block_delta", "index": 0, "delta": delta})

    def closing(self, model: str, usage: Tokens, spoken: bool) -> str:
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        ended = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage[1] if usage else 0}}
        return "".join(map(self._event, [{"type": "content_block_stop", "index": 0}, ended, {"type": "message_stop"}]))

    def whole(self, model: str, pieces: Sequence[str], usage: Tokens) -> dict[str, Any]:
        content = [{"type": "text", "text": "".join(pieces)}] if pieces else []
        return {**self._message(model), "content": content, "stop_reason": "end_turn", "usage": self._usage(usage)}

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": "some_error", "message": message}}

    def _message(self, model: str) -> dict[str, Any]:
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}

    def _usage(self, usage: Tokens, begun: bool = False) -> dict[str, int]:
        counted = usage or (0, 0)  # the protocol has no reply without it
        return {"input_tokens": counted[0], "output_tokens": min(1, counted[1]) if begun else counted[1]}

    def _event(self, body: dict[str, Any]) -> str:
        return f"event: {body['type']}\ndata: {json.dumps(body)}\n\n"


OPENAI = OpenAI()
ANTHROPIC = Anthropic()
