"""Language models: one port, and wrappers of it. Adapters speak to providers; wrappers hold them to what was allowed.

Whoever wants text from a model goes through `answer.generate`, the one door that also reserves and settles what it costs.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Literal, Protocol

Outcome = Literal[
    "answered",
    "error",
    "timeout",
    "rate_limited",
    "nonsense",
    "cut",
    "circuit_open",
    "limit",
    "over_budget",
    "cancelled",
]
"""How one request to a provider ended, or why it was not sent.

`answered`; `error`: refused, failed or not reached; `timeout`: nothing, or nothing more, in time; `rate_limited`: it said
429; `nonsense`: what came is no answer; `cut`: the stream ended before its end. Not sent: `circuit_open`; `limit`: our own
requests a minute are spent; `over_budget`. `cancelled`: nobody wanted the rest.
"""


_MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True)
class Message:
    """What was said before, and by whom."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True)
class Prompt:
    """What a model is given."""

    system: str
    messages: tuple[Message, ...]
    """In order; the last is the user's."""
    max_output_tokens: int


@dataclass
class Usage:
    """What a request took, in tokens; filled while its reply is read."""

    input_tokens: int = 0
    output_tokens: int = 0
    reported: bool = False
    """The provider said so; else it is an estimate of what has been sent and received."""


@dataclass(frozen=True)
class Price:
    """US dollars: for a million tokens in and out, and for each request."""

    input_per_million: Decimal = Decimal(0)
    output_per_million: Decimal = Decimal(0)
    per_request: Decimal = Decimal(0)

    def of(self, usage: Usage) -> Decimal:
        """What a request cost, rounded up to whole micro-dollars."""
        return self.at_most(usage.input_tokens, usage.output_tokens)

    def at_most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """What a request of so many tokens costs, rounded up to whole micro-dollars; a provider may say any number."""
        input_tokens, output_tokens = (max(0, min(each, _MOST_TOKENS)) for each in (input_tokens, output_tokens))
        exact = (input_tokens * self.input_per_million + output_tokens * self.output_per_million) / 1_000_000
        return (exact + self.per_request).quantize(Decimal("0.000001"), "ROUND_CEILING")

    @property
    def free(self) -> bool:
        """Whether nothing is ever paid."""
        return not (self.input_per_million or self.output_per_million or self.per_request)


class ModelFailed(Exception):
    """A request that brought no answer. The message is fit for a person and holds no key."""

    def __init__(self, outcome: Outcome, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome
        self.message = message
        self.retry_after = retry_after


class LanguageModel(Protocol):
    """One model at one provider."""

    @property
    def provider(self) -> str:
        """Name of the provider, as settings call it."""
        ...

    @property
    def name(self) -> str:
        """Name of the model, as the provider calls it."""
        ...

    @property
    def tier(self) -> int:
        """0 is private."""
        ...

    @property
    def context_tokens(self) -> int:
        """Tokens it takes, prompt and reply together."""
        ...

    @property
    def max_output_tokens(self) -> int:
        """Longest reply asked of it, in tokens."""
        ...

    @property
    def price(self) -> Price:
        """What it takes."""
        ...

    def stream(self, prompt: Prompt, usage: Usage) -> AsyncIterator[str]:
        """The pieces of its reply as they come; `usage` is right whenever the iteration stops, for whatever reason.

        Raises ModelFailed. Closing the iterator (`aclose`) ends the request at once.
        """
        ...


@dataclass
class ScriptedModel:
    """A model that says what it was told to: the double of the port, for trying things out and for tests."""

    pieces: list[str] = field(default_factory=list[str])
    provider: str = "scripted"
    name: str = "scripted-1"
    tier: int = 0
    context_tokens: int = 8192
    max_output_tokens: int = 1024
    price: Price = field(default_factory=Price)
    failure: ModelFailed | None = None
    """Raised after the pieces."""
    seen: list[Prompt] = field(default_factory=list[Prompt])

    TOKENS_PER_PIECE: ClassVar[int] = 1

    async def stream(self, prompt: Prompt, usage: Usage) -> AsyncIterator[str]:
        """Its pieces, then its failure, if any."""
        self.seen.append(prompt)
        usage.input_tokens, usage.reported = sum(len(each.text.split()) for each in prompt.messages), True
        for piece in self.pieces:
            usage.output_tokens += self.TOKENS_PER_PIECE
            yield piece
        if self.failure is not None:
            raise self.failure
