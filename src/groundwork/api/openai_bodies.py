"""Bodies of the OpenAI protocol, as far as it is spoken here. Fields of it that are not named are taken and ignored."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, Field

from groundwork.answer.prompt import Exchange
from groundwork.api.bodies import Text
from groundwork.errors import Invalid

ALL = "groundwork"
"""The model that answers from everything the caller may read; every other one is a collection."""

_INSTRUCTION_CHARACTERS = 4000
_QUESTION_CHARACTERS = 8000


def _one_answer(n: Any) -> Any:
    if n not in (None, 1):
        raise ValueError("there is one answer to a question, so leave `n` out or send 1")
    return n


def _texts(given: Any) -> Any:
    if isinstance(given, list) and any(isinstance(each, int | list) for each in cast("list[Any]", given)):
        raise ValueError("send texts; numbers of tokens mean nothing to this model")
    return cast("Any", given)


class Part(BaseModel):
    """A part of a message; texts only."""

    type: Text
    text: Text | None = None


class Message(BaseModel):
    """What somebody said."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[Part] | None = None

    def said(self) -> str:
        """Its text. Raises Invalid for pictures, sounds and files; what else an assistant sent is passed over."""
        if isinstance(self.content, list):
            if self.role != "assistant" and any(part.type != "text" for part in self.content):
                raise Invalid("Only texts are understood: send parts of type `text`.")
            return "\n".join(part.text or "" for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """What a stream tells besides the answer."""

    include_usage: bool | None = False


class ChatRequest(BaseModel):
    """A conversation whose last message is the question."""

    model: Text = Field(max_length=200, description="A collection, or `groundwork` for all.")
    messages: Annotated[list[Message], Field(min_length=1, max_length=500)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[Literal[1] | None, BeforeValidator(_one_answer)] = Field(
        None, description="One; there are never more."
    )
    private: bool = Field(False, description="Not of the protocol: ask only models on the operator's own machines.")

    def question(self) -> str:
        """What is asked. Raises Invalid when the last message is not the user's, is empty, or is too long."""
        if self.messages[-1].role != "user":
            raise Invalid("The last message is the question, so its role has to be `user`.")
        asked = self.messages[-1].said().strip()
        if not asked:
            raise Invalid("The last message is empty. Write what you want to know.")
        if len(asked) > _QUESTION_CHARACTERS:
            raise Invalid(f"The last message is longer than {_QUESTION_CHARACTERS:,} characters. Shorten it.")
        return asked

    def history(self) -> tuple[Exchange, ...]:
        """Questions before it that were answered."""
        asked: str | None = None
        found: list[Exchange] = []
        for message in self.messages[:-1]:
            if message.role == "user":
                asked = message.said()
            elif message.role == "assistant" and asked is not None:
                found.append(Exchange(asked, message.said()))
                asked = None
        return tuple(found)

    def instructions(self) -> str:
        """What the calling program tells the model."""
        told = [each.said() for each in self.messages if each.role in {"system", "developer"}]
        return "\n".join(told)[:_INSTRUCTION_CHARACTERS]


class Usage(BaseModel):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """An answer. `citations` are those of `POST /api/v1/ask`; so are `mode` and `reason`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: Usage
    citations: list[dict[str, Any]]
    mode: str
    reason: str | None


class ModelBody(BaseModel):
    """A collection as a model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "groundwork"


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelBody]


class EmbeddingRequest(BaseModel):
    """Texts to turn into vectors."""

    model: Text = Field(max_length=200, description="Any; the live embedding space answers.")
    input: Annotated[Text | Annotated[list[Text], Field(min_length=1, max_length=256)], BeforeValidator(_texts)]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(None, ge=1, le=100_000)


class EmbeddingList(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    model: str
    usage: dict[str, int]


def usage_of(body: dict[str, Any]) -> dict[str, int]:
    """Tokens of an answer, under OpenAI's names."""
    sent, came = body["usage"]["input_tokens"], body["usage"]["output_tokens"]
    return {"prompt_tokens": sent, "completion_tokens": came, "total_tokens": sent + came}


def annotations(citations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Citations under OpenAI's names: which characters of the answer rest on which document."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": each["answer_span"]["start"],
                "end_index": each["answer_span"]["end"],
                "title": each["title"],
                "url": each["uri"],
            },
        }
        for each in citations
    ]
