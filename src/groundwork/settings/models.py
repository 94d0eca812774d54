"""Settings of language models, what they may cost, what is remembered of answers and conversations, and rerankers."""

from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from groundwork.settings.addresses import is_plain_address

ProviderKind = Literal["ollama", "jan", "groq", "fireworks", "together", "openai", "anthropic", "compatible"]

ADDRESSES: dict[ProviderKind, str] = {
    "ollama": "http://127.0.0.1:11434/v1",
    "jan": "http://127.0.0.1:1337/v1",
    "groq": "https://api.groq.com/openai/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "together": "https://api.together.xyz/v1",
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}
"""Where each kind of provider is reached unless its `url` says otherwise."""

LOCAL: frozenset[ProviderKind] = frozenset({"ollama", "jan"})
"""Kinds that run on the operator's own machines: tier 0."""

_GROQ_FREE_PER_MINUTE = 28


class PriceSettings(BaseModel, extra="forbid"):
    """What a provider takes, in US dollars."""

    input_per_million: Decimal = Field(default=Decimal(0), ge=0, description="For a million tokens of input.")
    output_per_million: Decimal = Field(default=Decimal(0), ge=0, description="For a million tokens of output.")
    per_request: Decimal = Field(default=Decimal(0), ge=0, description="For each request.")


class ProviderSettings(BaseModel, extra="forbid"):
    """One provider of language models."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="What it is called here; each its own name.")
    kind: ProviderKind = Field(description="Who it is; `compatible` is any server that speaks the OpenAI protocol.")
    url: str | None = Field(default=None, description="Base URL; unset: the one its kind is known by.")
    tier: int | None = Field(
        default=None,
        ge=0,
        le=9,
        description="Lower ones are asked first. 0 is private: the only one asked in privacy mode. Unset: 0 for `ollama` and "
        "`jan`, 1 for the others.",
    )
    models: list[str] = Field(
        default=[], description="Models to ask, the first first. May be left out for a local server: its first one."
    )
    api_key: SecretStr | None = Field(default=None, description="Its key.")
    api_key_env: str | None = Field(default=None, description="The environment variable that holds its key.")
    api_key_file: Path | None = Field(default=None, description="The file that holds its key, and nothing else.")
    first_token_seconds: float = Field(default=30.0, gt=0, description="Longest wait for the first token, in seconds.")
    stall_seconds: float = Field(default=30.0, gt=0, description="Longest wait between two tokens, in seconds.")
    total_seconds: float = Field(default=300.0, gt=0, le=900, description="Longest time of a whole answer, in seconds.")
    requests_per_minute: int | None = Field(
        default=None,
        ge=0,
        description="Most requests sent in a minute; 0: no limit. Unset: 28 for `groq` (its free tier), else none.",
    )
    context_tokens: int = Field(
        default=8192, ge=512, description="Tokens its models take, question and answer together; Ollama cuts silently."
    )
    max_output_tokens: int = Field(default=1024, ge=16, description="Longest answer, in tokens.")
    price: PriceSettings | None = Field(
        default=None, description="What it takes; unset: the public price list, and nothing for tier 0."
    )

    @property
    def address(self) -> str:
        """Base URL, without a slash at the end."""
        return (self.url or ADDRESSES[self.kind]).rstrip("/")

    @property
    def in_tier(self) -> int:
        """Its tier, said or by its kind."""
        return self.tier if self.tier is not None else 0 if self.kind in LOCAL else 1

    @property
    def per_minute(self) -> int:
        """Most requests in a minute; 0: no limit."""
        if self.requests_per_minute is not None:
            return self.requests_per_minute
        return _GROQ_FREE_PER_MINUTE if self.kind == "groq" else 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "compatible" and self.url is None:
            raise ValueError(f"provider {self.name!r} has no url; a `compatible` one needs its own.")
        if not is_plain_address(self.address):
            raise ValueError(
                f"the url of provider {self.name!r} is not a plain http(s) address such as http://127.0.0.1:8000/v1; "
                "keys go into api_key, api_key_env or api_key_file."
            )
        if not self.models and self.kind not in LOCAL:
            raise ValueError(f"provider {self.name!r} names no models; which of its models are to be asked?")
        if self.in_tier == 0 and self.kind not in {*LOCAL, "compatible"}:
            raise ValueError(f"provider {self.name!r} is no private one; {self.kind} cannot be in tier 0.")
        if sum(key is not None for key in (self.api_key, self.api_key_env, self.api_key_file)) > 1:
            raise ValueError(f"provider {self.name!r} has more than one of api_key, api_key_env and api_key_file.")
        if self.max_output_tokens >= self.context_tokens:
            raise ValueError(
                f"provider {self.name!r}: max_output_tokens leaves nothing of context_tokens for a question."
            )
        return self


class LlmSettings(BaseModel):
    """Which language models write answers. Without one, answers are made of the documents' own sentences."""

    providers: list[ProviderSettings] = Field(
        default=[],
        description='Providers, as JSON (`[{"name": "groq", "kind": "groq", "models": ["llama-3.3-70b-versatile"], '
        '"api_key_env": "GROQ_API_KEY"}]`); docs/models.md describes every field. Asked by tier, then in this order.',
    )
    discover: bool = Field(
        default=True, description="Use Ollama and Jan when they run on this machine, although no provider names them."
    )
    private: bool = Field(default=False, description="Privacy mode for everything: only providers of tier 0 are asked.")
    breaker_failures: int = Field(
        default=5, ge=1, description="Failures in a row after which a provider is left alone (circuit open)."
    )
    breaker_seconds: float = Field(
        default=30.0, gt=0, description="Seconds it is left alone before it is tried again (half-open)."
    )
    breaker_successes: int = Field(
        default=3, ge=1, description="Successes in a row, once tried again, after which all is well (closed)."
    )
    breaker_probes: int = Field(default=1, ge=1, description="Requests at once while it is being tried again.")

    @model_validator(mode="after")
    def _own_names(self) -> Self:
        names = [each.name for each in self.providers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two providers are named {min(twice)!r}; each needs a name of its own.")
        return self


class CacheSettings(BaseModel):
    """What is remembered for a while: answers, recent turns of conversations, and the state of circuit breakers."""

    redis_url: SecretStr | None = Field(
        default=None,
        description="A Redis or Valkey shared by all processes, as `redis://...`; without one, or while it does not answer, "
        "each process remembers for itself. Limits count there too unless GROUNDWORK_LIMITS__REDIS_URL names another.",
    )
    timeout_seconds: float = Field(default=0.25, gt=0, description="Longest wait for Redis before memory takes over.")
    probe_seconds: float = Field(default=1.0, gt=0, description="Seconds between looks whether a lost Redis is back.")
    memory_mb: int = Field(default=64, ge=1, description="Most that one process remembers by itself, in MiB.")
    answer_seconds: float = Field(
        default=3600.0, ge=0, description="How long a generated answer is reused for the same question; 0: never."
    )


class BudgetSettings(BaseModel):
    """What each user may spend on paid models, unless a limit of their own is set (`groundwork budgets set`)."""

    daily_usd: Decimal | None = Field(default=None, ge=0, description="US dollars a day (UTC); unset: no limit.")
    weekly_usd: Decimal | None = Field(default=None, ge=0, description="US dollars a week, from Monday (UTC).")
    monthly_usd: Decimal | None = Field(default=None, ge=0, description="US dollars a calendar month (UTC).")
    over_budget: Literal["refuse", "extract"] = Field(
        default="refuse",
        description="When no model that is left can be paid: `refuse` says so (429), `extract` answers with the documents' own "
        "sentences.",
    )


class SessionSettings(BaseModel):
    """How conversations are kept."""

    retention_days: int = Field(
        default=365, ge=1, description="Days after its last question until a conversation goes."
    )
    recent_turns: int = Field(
        default=6, ge=1, le=50, description="Turns before a question that its meaning may rest on."
    )


class RerankerSettings(BaseModel):
    """Whether and how the passages found are put into a better order before the best are taken."""

    kind: Literal["none", "http", "openvino"] = Field(
        default="none",
        description="`http`: a server with `/v1/rerank`, as TEI, vLLM, Jina and Cohere speak it. `openvino`: a cross-encoder in "
        "a folder. `none`: as they were found.",
    )
    url: str = Field(default="http://127.0.0.1:8080", description="Base URL of the server; `/v1/rerank` is added.")
    model: str = Field(default="", description="Model name asked of the server; may be empty.")
    api_key: SecretStr | None = Field(default=None, description="Key of the server, when it wants one.")
    path: Path | None = Field(
        default=None, description="Folder of the cross-encoder: an OpenVINO model and its `tokenizer.json`."
    )
    threads: int = Field(
        default=0, ge=0, description="Threads the local cross-encoder computes with; 0 takes every core."
    )
    candidates: int = Field(default=30, ge=2, le=200, description="Passages that are put into order.")
    timeout_seconds: float = Field(
        default=2.0, gt=0, description="Longest wait for the order; after it the passages stay as they were found."
    )
    private: bool = Field(
        default=False,
        description="The server may see private collections; one on this machine always may. Where it may not, a search "
        "whose passages are partly of such a collection stays as it was found.",
    )

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.kind == "openvino" and self.path is None:
            raise ValueError("a cross-encoder has to lie somewhere; set GROUNDWORK_RERANKER__PATH too.")
        if self.kind == "http" and not is_plain_address(self.url):
            raise ValueError(
                "the url of the reranker is not a plain http(s) address such as http://127.0.0.1:8080; a key goes into "
                "GROUNDWORK_RERANKER__API_KEY."
            )
        return self
