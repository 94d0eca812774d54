"""What stands in a portable file: its members and the lines in them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = "groundwork-collection"
FORMAT_VERSION = 1
"""Grows when a reader of the former version would misread the file."""

MANIFEST = "manifest.json"
DOCUMENTS = "documents.jsonl"
VERSIONS = "versions.jsonl"
CHUNKS = "chunks.jsonl"
VECTORS = "vectors.f16"
MEMBERS = (DOCUMENTS, VERSIONS, CHUNKS, VECTORS)

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Line(BaseModel):
    """A line of a member. What a later version adds is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Model(Line):
    """Which model the vectors came from."""

    name: str
    revision: str
    dimension: int = Field(ge=1)


class Member(Line):
    """Length and hash of a member, uncompressed."""

    bytes: Count
    sha256: Sha256


class Collection(Line):
    """The collection as it was."""

    name: str
    description: str = ""
    private: bool = False
    """Whether its passages go to private models only."""


class Counts(Line):
    """How many lines, or vectors, there are."""

    documents: Count
    versions: Count
    chunks: Count
    vectors: Count


class Manifest(Line):
    """What a file says of itself; written last."""

    format: str
    format_version: int
    made_by: str
    made_at: datetime
    collection: Collection
    model: Model
    counts: Counts
    members: dict[str, Member]


class DocumentLine(Line):
    """A document."""

    uri: str
    title: str
    media_type: str
    status: Literal["ready", "failed"]
    error: str | None
    content_hash: Sha256 | None
    live: Sha256 | None
    """The version that is searched; None when no content of it could be taken."""
    tags: list[str]
    metadata: dict[str, str]
    created_at: datetime
    live_since: datetime


class VersionLine(Line):
    """A text; the live one of a document, or a former one that citations may name."""

    document: Count
    """Place of its document among the documents, from 0."""
    sha256: Sha256
    title: str
    media_type: str
    language: str | None
    pages: list[Count]
    markdown: bool
    created_at: datetime
    text: str


class ChunkLine(Line):
    """A span of a document's live version."""

    document: Count
    ordinal: Count
    start: Count
    end: Count
    page: int | None
    heading_path: list[str]
    embed_hash: Sha256
    """SHA-256 of title, headings and text: what was embedded. Proves that the span is the one that was stored."""
    vector: bool
    """Whether it has a row in the vectors."""
