"""Bodies of questions and answers, as the OpenAPI document describes them."""

from typing import Literal

from pydantic import BaseModel, Field

from groundwork.api.bodies import Narrowed, Span, Text
from groundwork.llms import Outcome


class AskRequest(Narrowed):
    """What to answer."""

    question: Text = Field(min_length=1, max_length=8000, description="The question.")
    stream: bool = Field(False, description="Answer as server-sent events.")
    session_id: Text | None = Field(
        None,
        max_length=100,
        description="`new` begins a conversation, the id of one goes on with it; left out, none is kept.",
    )
    private: bool = Field(False, description="Privacy mode: ask only models that run on the operator's own machines.")
    generate: bool = Field(
        True,
        description="Let a model write the answer when one is set; else it is made of the documents' own sentences.",
    )


class CitationBody(BaseModel):
    """What a statement of an answer rests on. `verified`: the quote equals the text stored at `source_span`."""

    index: int
    answer_span: Span
    document_id: str
    version: str
    title: str
    uri: str
    collection: str
    chunk_id: str
    page: int | None
    source_span: Span
    quote: str
    score: float
    verified: bool


class UsageBody(BaseModel):
    """What the answer took: the model that wrote it, and tokens and US dollars over all attempts."""

    provider: str | None
    model: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: str


class AttemptBody(BaseModel):
    """A model that was asked, or passed over, and how that ended."""

    provider: str
    model: str
    outcome: Outcome
    ms: float


class AnswerResponse(BaseModel):
    """An answer with its citations.

    `reason` says why no model wrote it although one is set. `cached`: it was written before for the same question.
    """

    answer: str
    mode: Literal["generated", "extracted", "verified", "none"]
    reason: str | None
    session_id: str | None
    citations: list[CitationBody]
    unresolved_citations: int = Field(description="Marks that named no passage; they stand in the text as `[?]`.")
    cached: bool
    usage: UsageBody
    route: list[AttemptBody]
    timings_ms: dict[str, float]
