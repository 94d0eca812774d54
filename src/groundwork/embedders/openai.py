"""A server speaking the OpenAI embeddings protocol: OpenAI itself, Ollama, vLLM, LM Studio and many more."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx
import numpy as np

from groundwork.embedders import Model, Vectors
from groundwork.errors import Invalid, Unavailable
from groundwork.settings import EmbedderSettings

_BATCH = 64
_PASSAGE_ATTEMPTS, _QUERY_ATTEMPTS = 5, 2
"""A job can wait for a busy server; somebody with a question cannot."""

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_QUERY_WAIT_SECONDS = 1.0

_BYTES_PER_TOKEN = 3
_EMPTY = "."
"""Sent for a text without words, since servers refuse an empty input."""


class _TryAgainError(Exception):
    """The server may answer the same request later, perhaps after the seconds it named."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class OpenAIEmbedder:
    """Embeds over HTTP. The key goes into one request header and nowhere else; what a server says is cleared of it.

    Tokens are estimated, since the server's tokenizer is not known here: one for every three bytes of UTF-8. That is
    about a third more than English takes and about right for other scripts, so a text counted to fit does fit.
    """

    def __init__(self, settings: EmbedderSettings, sleep: Callable[[float], None] = time.sleep) -> None:
        self._model = Model(name=settings.model, revision="served", dimension=settings.dimension)
        self._max_tokens = settings.max_tokens
        self._key = _usable_key(settings)
        self._sleep = sleep
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        url = _usable_url(settings)
        self._address = str(url.copy_with(userinfo=b"", query=None))
        self._client = httpx.Client(base_url=url, headers=headers, timeout=settings.timeout_seconds)

    @property
    def model(self) -> Model:
        return self._model

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def count_tokens(self, text: str) -> int:
        """An estimate on the high side: bytes of UTF-8 divided by three, rounded up."""
        return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)

    def embed_query(self, text: str) -> Vectors:
        return self._embed([text], _QUERY_ATTEMPTS, _QUERY_WAIT_SECONDS)[0]

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        vectors = np.empty((len(texts), self._model.dimension), np.float32)
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            vectors[start : start + len(batch)] = self._embed(batch, _PASSAGE_ATTEMPTS, _LONGEST_WAIT_SECONDS)
        return vectors

    @property
    def in_process(self) -> bool:
        """A server is asked."""
        return False

    def warm(self) -> None:
        """Nothing to load."""

    def ping(self) -> None:
        """Asks for the list of models, which costs nothing; a server without that list but alive passes."""
        try:
            response = self._send("GET", "models")
        except _TryAgainError as reason:
            raise Unavailable(f"The embedding server at {self._address} does not answer: {reason}") from None
        if response.status_code in {401, 403}:
            raise self._refusal(response)

    def close(self) -> None:
        self._client.close()

    def _embed(self, texts: Sequence[str], attempts: int, longest_wait: float) -> Vectors:
        inputs = [self._fitted(text) for text in texts]
        body: dict[str, object] = {"model": self._model.name, "input": inputs, "encoding_format": "float"}
        for attempt in range(1, attempts + 1):
            try:
                return self._vectors(self._send("POST", "embeddings", body), len(texts))
            except _TryAgainError as reason:
                wait = reason.seconds if reason.seconds is not None else _backoff(attempt)
                if attempt == attempts or wait > longest_wait:
                    raise Unavailable(
                        f"The embedding server at {self._address} does not answer after {attempt} attempts: {reason}",
                        retry_after_seconds=wait,
                    ) from None
                self._sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _send(self, method: str, path: str, body: dict[str, object] | None = None) -> httpx.Response:
        try:
            response = self._client.request(method, path, json=body)
        except httpx.TimeoutException:
            raise _TryAgainError("it took too long (GROUNDWORK_EMBEDDER__TIMEOUT_SECONDS)") from None
        except httpx.HTTPError as error:
            raise _TryAgainError(self._cleared(str(error))) from None
        if response.status_code == 429 or response.status_code >= 500:
            raise _TryAgainError(f"it answered {response.status_code}", _retry_after(response))
        return response

    def _vectors(self, response: httpx.Response, wanted: int) -> Vectors:
        if response.status_code != 200:
            raise self._refusal(response)
        rows = self._rows(response)
        if len(rows) != wanted:
            raise Unavailable(f"The embedding server at {self._address} sent {len(rows)} vectors for {wanted} texts.")
        found = {len(row) for row in rows}
        if found != {self._model.dimension}:
            raise Invalid(
                f"Model {self._model.name} at {self._address} makes vectors of {max(found)} numbers, not "
                f"{self._model.dimension}. Set GROUNDWORK_EMBEDDER__DIMENSION={max(found)} or choose another model."
            )
        vectors = np.array(rows, np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths) & (lengths > 0)):
            raise Unavailable(f"The embedding server at {self._address} sent a vector without a direction.")
        return vectors / lengths

    def _rows(self, response: httpx.Response) -> list[list[float]]:
        try:
            data = cast(list[dict[str, Any]], response.json()["data"])
            ordered = sorted(data, key=lambda item: int(item["index"]))
            return [[float(number) for number in item["embedding"]] for item in ordered]
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"What answers at {self._address} does not speak the embeddings protocol.") from None

    def _refusal(self, response: httpx.Response) -> Unavailable:
        advice = {
            401: "Set GROUNDWORK_EMBEDDER__API_KEY.",
            403: "Set GROUNDWORK_EMBEDDER__API_KEY.",
            404: "Check GROUNDWORK_EMBEDDER__URL and GROUNDWORK_EMBEDDER__MODEL.",
        }.get(response.status_code, "Check GROUNDWORK_EMBEDDER__MODEL and GROUNDWORK_EMBEDDER__MAX_TOKENS.")
        # A server that refuses a key likes to repeat parts of it.
        said = "" if response.status_code in {401, 403} else f" It said: {self._cleared(response.text)[:200]}"
        return Unavailable(
            f"The embedding server at {self._address} refused with {response.status_code}. {advice}{said}"
        )

    def _cleared(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _fitted(self, text: str) -> str:
        room = self._max_tokens * _BYTES_PER_TOKEN
        clipped = text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
        return clipped if clipped.strip() else _EMPTY


def _usable_key(settings: EmbedderSettings) -> str:
    key = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    if not (key.isascii() and key.isprintable()):  # an HTTP library's own complaint would quote it
        raise Invalid("GROUNDWORK_EMBEDDER__API_KEY holds characters that no key has; copy it again.")
    return key


def _usable_url(settings: EmbedderSettings) -> httpx.URL:
    try:
        url = httpx.URL(settings.url.rstrip("/") + "/")
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise Invalid("GROUNDWORK_EMBEDDER__URL is not an address; it looks like http://127.0.0.1:11434/v1.")
    return url


def _backoff(attempt: int) -> float:
    """Seconds to wait after the n-th failure: doubling, and spread so that callers do not return all at once."""
    return _FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds the server asked to wait (RFC 9110, 10.2.3: a number or a date); None when it did not say."""
    value = response.headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
