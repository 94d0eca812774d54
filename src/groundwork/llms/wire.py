"""Pydantic AI's models, as we use them: requests that say no more than they must, and the words of the replies.

Takes seconds to import; `served` does so in a thread, when a model is first asked. What the client libraries would add of
their own is left out: retries, proxies and keys from the environment, and headers that describe this machine.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice
from pydantic import ValidationError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIStreamedResponse
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.settings import ModelSettings

from groundwork.llms import Prompt, Usage
from groundwork.llms.deadlines import Deadlines
from groundwork.llms.failures import elsewhere, empty, failed, not_a_stream, not_billed, unfinished
from groundwork.llms.tokens import estimate_prompt, of_size, size
from groundwork.settings.models import ProviderSettings

_CONNECT_SECONDS = 5.0
_SENT = frozenset({"host", "accept", "content-type", "content-length", "connection", "anthropic-version"})
"""Headers that go out, beside the key and who we are."""

_NO_STREAM = frozenset({"text/html", "application/json", "text/plain"})

for _library in ("openai", "anthropic", "httpx2", "httpcore2"):
    logging.getLogger(_library).setLevel(logging.WARNING)  # below it they write down prompts


class _Client(AsyncOpenAI):
    """Reads a piece as it should be in a fraction of the time that the library takes for one of any shape."""

    def _process_response_data(self, *, data: object, cast_to: Any, response: Any) -> Any:
        if cast_to is ChatCompletionChunk:
            with suppress(ValidationError):
                return ChatCompletionChunk.model_validate(data)
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)


class _Streamed(OpenAIStreamedResponse):
    """Knows whether the server ever chose something to say: a list of choices that stays empty is no answer."""

    chosen = False

    def _map_part_delta(self, choice: Choice) -> Iterable[ModelResponseStreamEvent]:
        self.chosen = True
        return super()._map_part_delta(choice)


class _Chat(OpenAIChatModel):
    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return _Streamed


@dataclass
class _Heard:
    """What has come of one reply."""

    size: int = 0
    """Bytes of what was said, and of what was thought before."""
    said: bool = False
    response: StreamedResponse | None = None

    @property
    def chosen(self) -> bool:
        return getattr(self.response, "chosen", self.response is not None)

    @property
    def ended(self) -> str | None:
        """How, once the server has said that it did."""
        return self.response.finish_reason if self.response else None

    def count(self, usage: Usage, whole: bool) -> None:
        """Tokens: what the provider counted, where it did; while a reply goes on, its count may lag behind ours."""
        counted = self.response.usage if self.response else None
        guess = of_size(self.size)
        if counted is None:
            usage.output_tokens = guess
            return
        counted_in, counted_out = max(0, counted.input_tokens), max(0, counted.output_tokens)
        usage.input_tokens = counted_in or usage.input_tokens
        usage.reported = whole and bool(counted_in and counted_out)
        usage.output_tokens = counted_out if usage.reported else max(counted_out, guess)


class Wire:
    """The connections to one provider, for all its models. Slow to make; belongs to the event loop that first uses it."""

    def __init__(self, settings: ProviderSettings, key: Callable[[], str]) -> None:
        self._settings, self._key = settings, key
        connect = min(_CONNECT_SECONDS, settings.first_token_seconds)
        self._timeout = Timeout(None, connect=connect)
        hooks: dict[str, list[Callable[..., Any]]] = {"request": [self._undress], "response": [self._look]}
        self._client = DefaultAsyncHttpxClient(
            trust_env=False, follow_redirects=False, timeout=self._timeout, event_hooks=hooks
        )
        self._models = {name: self._model(name) for name in settings.models}

    async def close(self) -> None:
        """Ends every connection."""
        await self._client.aclose()

    async def stream(self, name: str, prompt: Prompt, usage: Usage) -> AsyncGenerator[str]:
        """The pieces of a reply; see `LanguageModel.stream`."""
        heard = _Heard()
        usage.input_tokens, usage.output_tokens, usage.reported = estimate_prompt(prompt), 0, False
        whole = False
        try:
            async with AsyncExitStack() as stack, aclosing(self._pieces(stack, name, prompt, heard)) as pieces:
                async for piece in pieces:
                    heard.count(usage, whole=False)
                    yield piece
            whole = True
        except Exception as error:
            if not_billed(error):
                usage.input_tokens = 0
            if not (heard.said and heard.ended):  # what breaks after the end mark breaks nothing
                raise failed(error, self._settings.name, self._known_key(), heard.said, heard.chosen) from None
            whole = True
        finally:
            heard.count(usage, whole)

    async def _pieces(self, stack: AsyncExitStack, name: str, prompt: Prompt, heard: _Heard) -> AsyncGenerator[str]:
        deadlines = Deadlines(self._settings)
        heard.response = await deadlines.wait(stack.enter_async_context(self._request(name, prompt)))
        events = aiter(heard.response)
        while (event := await deadlines.wait(anext(events, None))) is not None:
            deadlines.begun()
            text, thought = _words(event)
            text = _storable(text)
            heard.size += size(text) + size(thought)
            fresh = text if heard.said else text.lstrip()
            heard.said = heard.said or bool(fresh)
            if fresh:
                yield fresh
        if not heard.said and (heard.ended or not heard.chosen):
            raise empty(self._settings.name, heard.ended)
        if not heard.ended:
            raise unfinished(self._settings.name, heard.said)

    def _request(self, name: str, prompt: Prompt) -> AbstractAsyncContextManager[StreamedResponse]:
        if name not in self._models:
            self._models[name] = self._model(name)
        settings = ModelSettings(max_tokens=prompt.max_output_tokens)
        return self._models[name].request_stream(_messages(prompt), settings, ModelRequestParameters())

    def _model(self, name: str) -> Model[Any]:
        settings = self._settings
        if settings.kind == "anthropic":
            return self._anthropic(name)
        client = _Client(
            api_key="-", base_url=settings.address, max_retries=0, timeout=self._timeout, http_client=self._client
        )
        if settings.kind == "openai":
            profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
            return _Chat(name, provider=OpenAIProvider(openai_client=client), profile=profile)
        profile = OpenAIModelProfile(
            openai_chat_streaming_requires_finish_reason=True,
            openai_chat_supports_max_completion_tokens=False,  # many servers ignore that name, and with it the limit
        )
        provider = OpenAICompatibleProvider(settings.kind, openai_client=client)
        return _Chat(name, provider=provider, profile=profile)

    def _anthropic(self, name: str) -> Model[Any]:
        """Its libraries take seconds of their own to load, which only those wait for who use them."""
        from anthropic import AsyncAnthropic  # start-up time
        from pydantic_ai.models.anthropic import AnthropicModel  # start-up time
        from pydantic_ai.providers.anthropic import AnthropicProvider  # start-up time

        client = AsyncAnthropic(
            api_key="-",
            base_url=self._settings.address,
            max_retries=0,
            timeout=self._timeout,
            http_client=self._client,
        )
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))

    async def _undress(self, request: Any) -> None:
        """Before sending: only the headers that are needed, and the key as it is now. Raises Invalid."""
        key = self._key()
        kept = {name: value for name, value in request.headers.items() if name.lower() in _SENT}
        request.headers.clear()
        request.headers.update({**kept, "user-agent": "groundwork", "accept-encoding": "identity"})
        if key:
            request.headers["authorization"] = f"Bearer {key}"

    async def _look(self, response: Any) -> None:
        if response.status_code // 100 == 3:
            await response.aclose()
            raise elsewhere(self._settings.name, response.status_code)
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code == 200 and content_type in _NO_STREAM:
            await response.aclose()
            raise not_a_stream(self._settings.name, content_type)

    def _known_key(self) -> str:
        try:
            return self._key()
        except Exception:
            return ""


def _storable(text: str) -> str:
    """The text with halves of surrogate pairs, which JSON may carry and UTF-8 cannot, replaced."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _words(event: object) -> tuple[str, str]:
    """What was said, and what was thought before saying it."""
    if isinstance(event, PartDeltaEvent):
        if isinstance(event.delta, TextPartDelta):
            return event.delta.content_delta, ""
        return "", (event.delta.content_delta or "") if isinstance(event.delta, ThinkingPartDelta) else ""
    if isinstance(event, PartStartEvent):
        if isinstance(event.part, TextPart):
            return event.part.content, ""
        return "", event.part.content if isinstance(event.part, ThinkingPart) else ""
    return "", ""


def _messages(prompt: Prompt) -> list[ModelMessage]:
    """The prompt in Pydantic AI's words; consecutive messages of one side stay as they are."""
    found: list[ModelMessage] = [ModelRequest(parts=[SystemPromptPart(prompt.system)])] if prompt.system else []
    for message in prompt.messages:
        if message.role == "assistant":
            found.append(ModelResponse(parts=[TextPart(message.text)]))
        else:
            found.append(ModelRequest(parts=[UserPromptPart(message.text)]))
    return found
