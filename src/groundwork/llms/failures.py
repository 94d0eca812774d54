"""What a request died of, as one outcome and a sentence for a person.

Nothing of what a server wrote is repeated but its error code: its words may quote the prompt or the key.
"""

import re
from collections.abc import Iterator

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelRateLimitError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)

from groundwork.errors import GroundworkError
from groundwork.llms import ModelFailed

_CODE = re.compile(r"[a-z][a-z0-9_.-]{1,39}")
_ADVICE = {
    400: "Check its models, context_tokens and max_output_tokens.",
    401: "Check its key.",
    402: "Its account has no credit left.",
    403: "Check its key and what the key may do.",
    404: "Check its url and the names of its models.",
    413: "Check its context_tokens.",
}


def failed(error: Exception, provider: str, key: str, said: bool, chosen: bool) -> ModelFailed:
    """The failure of a request; `said`: words had come; `chosen`: a reply had begun, perhaps without words."""
    for each in _causes(error):
        if isinstance(each, ModelFailed):
            return each
        if isinstance(each, GroundworkError):
            return ModelFailed("error", each.message)
    if isinstance(error, ModelTimeoutError):
        return ModelFailed("timeout", f"{provider} could not be reached in time.")
    if isinstance(error, ModelRateLimitError) or (isinstance(error, ModelHTTPError) and error.status_code == 429):
        wait = error.retry_after
        told = "" if wait is None else f" It asks to wait {wait:.0f} seconds."
        return ModelFailed("rate_limited", f"{provider} gets too many requests (429).{told}", wait)
    if isinstance(error, ModelHTTPError):
        advice = _ADVICE.get(error.status_code, "It may be better later.")
        return ModelFailed("error", f"{provider} refused with {error.status_code}{_code(error, key)}. {advice}")
    if isinstance(error, ModelConnectionError):
        return _broken(provider, said) if not_sent(error) is False else _unreached(provider)
    return _strange(error, provider, key, said, chosen)


def not_billed(error: BaseException) -> bool:
    """Whether nothing was asked, or the request was refused before any work was done for it."""
    return not_sent(error) or (isinstance(error, ModelHTTPError) and not error.in_stream)


def not_sent(error: BaseException) -> bool:
    """Whether the request never reached the provider."""
    mine = any(isinstance(each, GroundworkError) for each in _causes(error))
    return mine or (isinstance(error, ModelConnectionError) and error.phase in {"pool", "connect"})


def empty(provider: str, ended: str | None) -> ModelFailed:
    """A reply without a word."""
    reason = f" (it ended with {ended})" if ended and ended != "stop" else ""
    return ModelFailed("nonsense", f"{provider} answered without a word{reason}.")


def unfinished(provider: str, said: bool) -> ModelFailed:
    """A reply that stopped before its end."""
    return _broken(provider, said)


def not_a_stream(provider: str, content_type: str) -> ModelFailed:
    """A reply of another kind, such as the page of a proxy that wants a login."""
    return ModelFailed("nonsense", f"What {provider} sent is no streamed answer but {content_type}. Check its url.")


def elsewhere(provider: str, status: int) -> ModelFailed:
    """A redirect; the key does not follow it."""
    return ModelFailed("error", f"{provider} sends its visitors elsewhere ({status}). Check its url.")


def _strange(error: Exception, provider: str, key: str, said: bool, chosen: bool) -> ModelFailed:
    if isinstance(error, ModelAPIError) and not isinstance(error.__cause__, ValueError):
        if error.in_stream:
            return ModelFailed("error", f"{provider} failed in the middle of its answer{_code(error, key)}.")
        if said or chosen:
            return _broken(provider, said)
    if isinstance(error, UnexpectedModelBehavior) and not said:
        return _broken(provider, said)
    return ModelFailed("nonsense", f"What {provider} sent is no answer that can be read.")


def _broken(provider: str, said: bool) -> ModelFailed:
    if said:
        return ModelFailed("cut", f"The answer of {provider} broke off.")
    return ModelFailed("error", f"{provider} hung up without a word.")


def _unreached(provider: str) -> ModelFailed:
    return ModelFailed("error", f"{provider} cannot be reached. Is it running, and is its url right?")


def _code(error: ModelAPIError, key: str) -> str:
    codes: tuple[object, ...] = (error.provider_error_code, error.provider_error_type)
    for each in codes:
        if isinstance(each, str) and _CODE.fullmatch(each) and not (key and key.lower() in each):
            return f", {each}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__
