"""Bodies of requests and answers, as the OpenAPI document describes them."""

import re
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _storable(given: Any) -> Any:
    """What was given, when every text in it can be stored. Raises ValueError for NUL characters and lone surrogates."""
    waiting: list[Any] = [given]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and _UNSTORABLE.search(each):
            raise ValueError("must hold no NUL character and no half of a surrogate pair")
        if isinstance(each, dict):
            waiting += [part for pair in cast("dict[Any, Any]", each).items() for part in pair]
        if isinstance(each, list):
            waiting += cast("list[Any]", each)
    return given


Text = Annotated[str, AfterValidator(_storable)]
"""Text that comes in: of a body, a query or a path."""
Anything = Annotated[dict[str, Any], AfterValidator(_storable)]
Names = Annotated[list[Text], Field(max_length=100)]


class Narrowed(BaseModel):
    """Where to look."""

    model_config = ConfigDict(extra="forbid")

    collections: Names | None = Field(None, description="Only these collections; left out, every one.")
    sources: Names | None = Field(None, description="Only these sources, by name.")
    media_types: Names | None = Field(None, description="Only these media types, such as `application/pdf`.")
    tags: Names | None = Field(None, description="Only documents that carry one of these tags.")
    since: Text | None = Field(
        None, max_length=40, description="Only texts taken in on this day (UTC), at this moment, or later; ISO 8601."
    )
    until: Text | None = Field(
        None, max_length=40, description="Only texts taken in up to and with this day (UTC), or before this moment."
    )

    def narrowing(self) -> dict[str, Any]:
        """The restrictions, by the names `Request` gives them."""
        return {name: getattr(self, name) for name in Narrowed.model_fields}


class SearchRequest(Narrowed):
    """What to search for."""

    query: Text = Field(min_length=1, max_length=8000, description="The question or words to search for.")
    limit: int = Field(10, ge=1, le=100, description="How many passages at most.")
    mode: Literal["hybrid", "dense", "lexical"] = Field("hybrid", description="Which indexes to ask.")
    rerank: bool = Field(True, description="Let the reranker put the passages into order, where one is set.")


class CollectionRequest(BaseModel):
    """A collection to make."""

    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=200)
    description: Text = Field("", max_length=2000)
    private: bool = Field(False, description="Its passages go to language models of tier 0 only.")


class Span(BaseModel):
    """Characters from `start` up to, not including, `end`."""

    start: int
    end: int


class PassageBody(BaseModel):
    """A passage of a document: `text` is what stands at `source_span` of `version`."""

    chunk_id: str
    document_id: str
    version: str
    title: str
    uri: str
    collection: str
    media_type: str
    page: int | None
    heading_path: list[str]
    source_span: Span
    text: str
    score: float
    scores: dict[str, float | None]


class SearchResponse(BaseModel):
    """Passages, best first."""

    passages: list[PassageBody]
    reranked: bool
    timings_ms: dict[str, float]


class DocumentBody(BaseModel):
    """A document.

    `version` names the text that is searched now, taken in at `live_since`; `error` says why the newest content was not.
    """

    id: str
    uri: str
    title: str
    collection: str
    media_type: str
    status: Literal["pending", "ready", "failed"]
    version: str | None
    pages: int
    chunks: int
    error: str | None
    tags: list[str]
    metadata: dict[str, Any]
    live_since: str | None
    created_at: str
    updated_at: str


class DeletedBody(DocumentBody):
    """What a document was, and how much of it each index holds now: nothing."""

    proof: dict[str, int]


class RelabelRequest(BaseModel):
    """What to write on a document. A null takes a key of the metadata away."""

    model_config = ConfigDict(extra="forbid")

    add_tags: Names = Field(default_factory=list, description="Tags to add.")
    remove_tags: Names = Field(default_factory=list, description="Tags to take away.")
    metadata: dict[Text, Text | None] = Field(default_factory=dict, description="Values by key, to set or take away.")


class VersionBody(BaseModel):
    """A version of a document; `live`: the one that is searched."""

    version: str
    title: str
    media_type: str
    characters: int
    live: bool
    created_at: str


class VersionsBody(BaseModel):
    """The versions that are kept, newest first."""

    items: list[VersionBody]


class UploadedBody(DocumentBody):
    """A document just uploaded, and the job that takes it in."""

    job_id: str


class DocumentPage(BaseModel):
    """A page of documents; `next_cursor` asks for the next, null on the last."""

    items: list[DocumentBody]
    next_cursor: str | None


class TextBody(BaseModel):
    """Text of one version."""

    text: str
    version: str


class CollectionBody(BaseModel):
    """A collection."""

    name: str
    description: str
    documents: int
    chunks: int
    generation: int
    private: bool = Field(description="Its passages go to language models of tier 0 only.")
    created_at: str


class CollectionPage(BaseModel):
    """A page of collections."""

    items: list[CollectionBody]
    next_cursor: str | None


class JobBody(BaseModel):
    """A job. `waiting` and `retrying` will run; `stalled` lost its process and is taken over within seconds."""

    id: str
    kind: str
    title: str
    status: str
    priority: int
    attempts: int
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    error_kind: str | None
    arguments: dict[str, Any]
    created_at: str
    started_at: str | None
    finished_at: str | None
    next_attempt_at: str | None
    waiting_seconds: float
    running_seconds: float | None


class JobsBody(BaseModel):
    """Jobs."""

    items: list[JobBody]


class JobPage(JobsBody):
    """A page of jobs."""

    next_cursor: str | None


class IngestRequest(BaseModel):
    """Which sources to sync."""

    model_config = ConfigDict(extra="forbid")

    sources: Names | None = Field(None, description="Names of sources; left out, every one.")


class SourceRequest(BaseModel):
    """A source to add."""

    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=200)
    location: Text = Field(
        min_length=1,
        max_length=2000,
        description="A path, a web address or sitemap, a git repository, `s3://bucket/prefix`.",
    )
    collection: Text = Field("default", min_length=1, max_length=200)
    schedule: Text | None = Field(
        None, max_length=200, description="A cron expression in UTC; left out, only when asked."
    )
    options: Anything = Field(
        default_factory=dict,
        description="Of its kind: `include`, `exclude`, `branch`, `path`, `depth`, `max_pages`, ...",
    )


class SourceBody(BaseModel):
    """A source of documents."""

    id: str
    name: str
    collection: str
    kind: str
    location: str
    config: dict[str, Any]
    schedule: str | None
    next_sync_at: str | None
    last_synced_at: str | None
    created_at: str
    documents: int
    failed: int


class SourcePage(BaseModel):
    """A page of sources."""

    items: list[SourceBody]
    next_cursor: str | None


class PlanBody(BaseModel):
    """What a sync would do: addresses of documents."""

    new: list[str]
    changed: list[str]
    unchanged: int
    removed: list[str]
    unreadable: list[str]


class SpaceRequest(BaseModel):
    """An embedding space to register. What is left out is as the settings have it; keys come from the settings only."""

    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=64)
    kind: Literal["openvino", "openai", "hashing"]
    url: Text | None = Field(None, max_length=2000, description="Base URL of the OpenAI-compatible server.")
    model: Text | None = Field(None, max_length=200, description="Model name asked of that server.")
    dimension: int | None = Field(None, ge=1, le=4000, description="Length of its vectors.")
    max_tokens: int | None = Field(None, ge=16, description="Longest input of the model, in tokens.")


class SpaceBody(BaseModel):
    """An embedding space. `ready`: built, can be switched to; `retired`: was live, can be switched back to."""

    name: str
    status: Literal["building", "ready", "live", "retired", "dropping"]
    kind: str | None
    model: str
    revision: str
    dimension: int
    url: str | None
    max_tokens: int | None
    passages: int
    embedded: int
    missing: int
    created_at: str


class SpacePage(BaseModel):
    """A page of embedding spaces."""

    items: list[SpaceBody]
    next_cursor: str | None


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    kind: str


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    body = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"model": Problem, "content": dict(body)} for status in statuses}


PROBLEMS = _problems(400, 401, 403, 404, 408, 413, 421, 422, 429, 503)
"""How any route may refuse or fail."""
CONFLICT = _problems(409)
"""Of routes that change what is there."""
