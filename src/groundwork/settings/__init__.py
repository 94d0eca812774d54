"""Settings in groups, read once at start and validated whole.

Every field states its unit, default and reason; `docs/reference/settings.md` is generated from them. Values come from
the environment (`GROUNDWORK_...`, two underscores between group and field); nothing else is consulted.
"""

import json
import os
import re
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

import platformdirs
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from groundwork.errors import Invalid
from groundwork.settings.addresses import is_plain_address
from groundwork.settings.identity import AuthSettings
from groundwork.settings.identity import RoleName as RoleName
from groundwork.settings.identity import is_safe_address as is_safe_address
from groundwork.settings.models import BudgetSettings, CacheSettings, LlmSettings, RerankerSettings, SessionSettings


def _default_data_dir() -> Path:
    return Path(platformdirs.user_data_dir("groundwork", appauthor=False))


class DatabaseSettings(BaseModel):
    """How the record is reached."""

    pool_min: int = Field(
        default=2, ge=1, description="Connections kept open, so that a quiet service answers at once."
    )
    pool_max: int = Field(
        default=10, ge=1, description="Most connections of one process; PostgreSQL's own limit is shared."
    )
    timeout_seconds: float = Field(default=10.0, gt=0, description="Seconds to wait for a connection before giving up.")
    query_timeout_seconds: float = Field(
        default=30.0,
        ge=1,
        description="Seconds a read may take before it is given up, so that a database that hangs is noticed. Checks of "
        "the whole record, exports and index builds take as long as they take.",
    )
    start_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds the embedded PostgreSQL may take to start; recovery after a crash takes longer.",
    )


class EmbedderSettings(BaseModel):
    """Which model turns text into vectors."""

    kind: Literal["openvino", "openai", "hashing"] = Field(
        default="openvino",
        description="`openvino`: the model in the package. `openai`: a server speaking the OpenAI protocol. `hashing`: "
        "no model at all, words only; for trying things out and for tests.",
    )
    threads: int = Field(default=0, ge=0, description="Threads the local model computes with; 0 takes every core.")
    url: str = Field(default="http://127.0.0.1:11434/v1", description="Base URL of the OpenAI-compatible server.")
    model: str = Field(default="all-minilm", description="Model name asked of the OpenAI-compatible server.")
    dimension: int = Field(
        default=384, ge=1, le=4000, description="Length of that server's vectors; checked on first use."
    )
    max_tokens: int = Field(default=256, ge=16, description="Longest input of that server's model, in tokens.")
    api_key: SecretStr | None = Field(
        default=None, description="Key of the OpenAI-compatible server, when it wants one."
    )
    space_api_keys: dict[str, SecretStr] = Field(
        default={},
        description="Keys of embedding spaces, as JSON by the name of the space, or one in a variable of its own with "
        "`__NAME` after this one. A space at another address than `url` gets no other key.",
    )
    timeout_seconds: float = Field(default=30.0, gt=0, description="Seconds to wait for that server.")


class IngestSettings(BaseModel):
    """How documents become passages."""

    chunk_tokens: int = Field(
        default=200,
        ge=32,
        le=4000,
        description="Largest chunk in the embedder's tokens; its title is put before it on top.",
    )
    max_file_mb: int = Field(
        default=100, ge=1, description="Largest file taken, in MiB; a larger one fails with that reason."
    )
    extract_timeout_seconds: float = Field(
        default=120.0, gt=0, description="Longest extraction of one file, in seconds."
    )
    extract_memory_mb: int = Field(
        default=1024,
        ge=256,
        description="Most memory one extraction may take, in MiB; a file that needs more fails with that.",
    )
    extract_text_mb: int = Field(
        default=50,
        ge=1,
        description="Most text taken from one file, in millions of characters (2**20); more is no document.",
    )
    ocr_languages: str = Field(
        default="eng",
        description="Languages of scans, as Tesseract names them, joined by `+` (`eng+deu`); those that are installed are "
        "used. Empty: no recognition.",
    )
    ocr_timeout_seconds: float = Field(
        default=1800.0,
        gt=0,
        description="Longest recognition of one scan, in seconds; a page takes one to four on a core.",
    )
    reserve_disk_mb: int = Field(
        default=128,
        ge=0,
        description="Free space below which nothing more is taken in, in MiB, so that the database never fills its own disk.",
    )


class SourceSettings(BaseModel):
    """How documents are fetched from elsewhere."""

    user_agent: str = Field(
        default="Groundwork",
        pattern=r"^[A-Za-z][\w.-]*$",
        description="Name given to web servers; robots.txt rules for it are honoured.",
    )
    allow_private_addresses: bool = Field(
        default=False,
        description="Fetch from loopback and private networks too: whoever adds a source can then read what is there.",
    )
    fetch_timeout_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds one page may take, redirects included; also each answer of an S3 server.",
    )
    fetch_max_mb: int = Field(default=50, ge=1, description="Largest page, in MiB, after decompression.")
    max_pages: int = Field(default=5000, ge=1, description="Most pages of one web source.")
    max_crawl_delay_seconds: float = Field(
        default=10.0, ge=0, description="Longest pause between pages that a robots.txt can ask for, in seconds."
    )
    git_timeout_seconds: float = Field(default=600.0, gt=0, description="Seconds one git command may take.")
    s3_endpoint: str | None = Field(
        default=None, description="Address of the S3 server of sources that name none; unset: Amazon's."
    )
    s3_region: str | None = Field(default=None, description="Region of buckets of sources that name none.")
    s3_access_key_id: str | None = Field(
        default=None, description="S3 access key; unset: AWS_ACCESS_KEY_ID and the like."
    )
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Secret of the S3 access key.")
    s3_session_token: SecretStr | None = Field(default=None, description="Session token of the S3 access key, if any.")

    @field_validator("s3_endpoint")
    @classmethod
    def _plain_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not is_plain_address(endpoint):
            raise ValueError("not a plain http(s) address; keys go into S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY.")
        return endpoint


class RetrievalSettings(BaseModel):
    """How passages are found."""

    candidates: int = Field(
        default=100, ge=10, le=1000, description="Passages taken from each of dense and lexical search."
    )
    dense_weight: float = Field(
        default=0.5, ge=0, le=1, description="Share of the dense score in the fused one; the rest is lexical."
    )


class AnswerSettings(BaseModel):
    """How answers are made from passages."""

    passages: int = Field(default=8, ge=1, le=50, description="Passages an answer may draw on.")
    sentences: int = Field(default=3, ge=1, le=10, description="Most sentences of an extractive answer.")
    least_bearing: float = Field(
        default=0.42,
        ge=0,
        le=1,
        description="How far the best sentence must bear on the question; below it the answer is that there is none.",
    )


class WorkerSettings(BaseModel):
    """How jobs are run."""

    build_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the time that the build of an embedding space computes; the rest it leaves to searches.",
    )
    concurrency: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Jobs run at once by one worker process, of each queue: interactive and bulk.",
    )
    shutdown_seconds: float = Field(
        default=10.0,
        ge=0,
        description="Seconds running jobs get to end when the process stops; then they are queued again.",
    )


class LimitSettings(BaseModel):
    """How many requests one caller may send in a minute, by what they ask for; 0 sets no limit."""

    search_per_minute: int = Field(default=600, ge=0, description="Searches, and looks at documents, by one caller.")
    ask_per_minute: int = Field(default=120, ge=0, description="Questions by one caller.")
    ingest_per_minute: int = Field(default=300, ge=0, description="Uploads, syncs and removals by one caller.")
    admin_per_minute: int = Field(default=300, ge=0, description="Administrative requests by one caller.")
    login_per_minute: int = Field(default=30, ge=0, description="Logins from one address.")
    redis_url: SecretStr | None = Field(
        default=None,
        description="A Redis that counts for all processes together, as `redis://...`; without one, or while it does not "
        "answer, each process counts for itself.",
    )


class HttpSettings(BaseModel):
    """How the service listens."""

    host: str = Field(default="127.0.0.1", description="Interface to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_upload_mb: int = Field(default=100, ge=1, description="Largest upload, in MiB.")
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~-]+)*$",
        description="Address people reach the service by when a proxy stands before it, such as `https://docs.example.org`, "
        "without a slash at the end; single sign-on sends browsers back there. Unset: the one a request came to.",
    )
    allowed_hosts: list[str] = Field(
        default=[],
        description='Host names people reach the service by, as JSON (`["docs.example.org"]`). Empty: loopback names when '
        "it listens on loopback, else any; others are answered with 421, which stops DNS rebinding.",
    )
    trusted_proxies: list[str] = Field(
        default=[],
        description='Networks of reverse proxies whose `X-Forwarded-For` is believed, as JSON (`["10.0.0.0/8"]`). '
        "Empty: the caller is whoever opened the connection.",
    )
    cors_origins: list[str] = Field(
        default=[],
        description='Origins whose web pages may call the service from a browser, as JSON (`["https://app.example.org"]`). '
        "Empty: none.",
    )
    max_requests: int = Field(
        default=100,
        ge=1,
        description="Requests of one process at once, event streams included; one more is answered with 503 at once.",
    )
    request_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds until an answer has to begin, counted from the end of the body; then it is 503. Exports, "
        "removals and answers of models may take longer.",
    )
    body_timeout_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds a request's body may stand still, or stay behind 1 KiB a second; then it is answered with 408.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file with the certificate and its chain; with `tls_key` the service speaks HTTPS. New files are taken "
        "up without a restart.",
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the certificate's key, without a passphrase.")

    @field_validator("allowed_hosts")
    @classmethod
    def _plain_hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", host):
                raise ValueError(
                    f"{host!r} is not a host name. Write it alone, without scheme, port, path or wildcard, such as "
                    '["docs.example.org"].'
                )
        return [host.lower().rstrip(".") for host in hosts]

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f'{error}. Write a network or an address, such as ["10.0.0.0/8"].') from None
        return networks

    @field_validator("cors_origins")
    @classmethod
    def _exact_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if "*" in origin:
                raise ValueError(
                    f"{origin!r} would let any web page call the service; name each origin, such as "
                    '["https://app.example.org"].'
                )
            if not re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?", origin):
                raise ValueError(
                    f"{origin!r} is not an origin. Write scheme, host and port as a browser does: lower case, without a "
                    'path or a slash at the end, such as ["https://app.example.org"].'
                )
        return origins

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            missing = "TLS_KEY" if self.tls_key is None else "TLS_CERTIFICATE"
            raise ValueError(
                f"a certificate and its key belong together; set GROUNDWORK_HTTP__{missing} too, or neither."
            )
        return self


class Settings(BaseSettings):
    """Every setting, validated whole at start."""

    model_config = SettingsConfigDict(env_prefix="GROUNDWORK_", env_nested_delimiter="__", extra="ignore")

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Where Groundwork keeps its data: PostgreSQL, originals, derived indexes. Unless set, the user's own "
        "data folder: `~/.local/share/groundwork` on Linux, `~/Library/Application Support/groundwork` on macOS.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="A PostgreSQL 15+ with pgvector to use instead of the embedded one, as `postgresql://...`.",
    )
    environment: Literal["development", "production"] = Field(
        default="development",
        description="In `production` the service refuses to start with default or weak secrets; so it does in either when it "
        "listens beyond this machine.",
    )
    log_format: Literal["human", "json"] = Field(default="human", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe line written."
    )
    database: DatabaseSettings = DatabaseSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    ingest: IngestSettings = IngestSettings()
    sources: SourceSettings = SourceSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    reranker: RerankerSettings = RerankerSettings()
    answer: AnswerSettings = AnswerSettings()
    llms: LlmSettings = LlmSettings()
    cache: CacheSettings = CacheSettings()
    budgets: BudgetSettings = BudgetSettings()
    sessions: SessionSettings = SessionSettings()
    worker: WorkerSettings = WorkerSettings()
    auth: AuthSettings = AuthSettings()
    limits: LimitSettings = LimitSettings()
    http: HttpSettings = HttpSettings()


def load_settings() -> Settings:
    """Settings from the environment.

    Raises Invalid naming every setting that is wrong, its variable and what it takes.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise Invalid(_explain(error)) from None
    except SettingsError as error:
        raise Invalid(_unreadable(error)) from None
    return settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})


def _explain(error: ValidationError) -> str:
    lines = ["Settings are not valid:"]
    for problem in error.errors():
        variable = "GROUNDWORK_" + "__".join(str(part) for part in problem["loc"]).upper()
        lines.append(f"  {variable}: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _unreadable(error: SettingsError) -> str:
    """Names the variable that is no JSON and the place in it, and never what it holds."""
    why = error.__cause__
    if not isinstance(why, json.JSONDecodeError):
        return f"Settings are not valid: {error}; a value that holds several is written as JSON."
    names = [name for name, value in os.environ.items() if name.upper().startswith("GROUNDWORK_") and value == why.doc]
    return f"Settings are not valid:\n  {', '.join(names)}: this is not JSON: {why}"


@cache
def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
