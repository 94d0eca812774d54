"""A server that puts texts into order: `/v1/rerank` as vLLM, Jina, Cohere and many gateways speak it, or TEI's own.

Text Embeddings Inference has only `/rerank`, with other words for the same. It is tried where `/v1/rerank` is not
there, and what has worked is remembered.
"""

import asyncio
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import httpx

from groundwork.errors import Invalid, Unavailable
from groundwork.rerankers.logits import bounded
from groundwork.settings.addresses import is_loopback
from groundwork.settings.models import RerankerSettings

_QUESTION_CHARACTERS = 1_000
"""Of a longer question only the start is sent: about half of what a model of 512 tokens reads, the rest for the text."""
_TEI_BATCH = 32
"""Texts that Text Embeddings Inference takes at once unless told otherwise (`--max-client-batch-size`)."""


class HttpReranker:
    """Scores over HTTP. The key goes into one request header and nowhere else; what a server says is cleared of it.

    Nobody with a question waits for a second attempt: one that fails is Unavailable at once. Texts are sent whole;
    a server cuts what is too long for its model, or refuses it.
    """

    def __init__(self, settings: RerankerSettings) -> None:
        self._model = settings.model
        self._key = _usable_key(settings)
        url = httpx.URL(settings.url.rstrip("/").removesuffix("/v1") + "/")
        self._address = str(url)
        self._is_here = is_loopback(url.host)
        self._private = settings.private
        self._speaks_tei = False
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=settings.timeout_seconds,
            trust_env=not self._is_here,  # what may be private must not take the way round by a proxy
        )

    @property
    def name(self) -> str:
        return f"http:{self._model or self._address}"

    @property
    def private(self) -> bool:
        """Whether the server is on this machine, or was said to be private."""
        return self._is_here or self._private

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        if not texts:
            return []
        question, texts = _encodable(question[:_QUESTION_CHARACTERS]), [_encodable(text) for text in texts]
        if not self._speaks_tei:
            response = await self._post("v1/rerank", self._request(question, texts))
            if response.status_code != 404:
                return bounded(self._scores(response, len(texts)))
        return bounded(await self._tei_scores(question, texts))

    async def warm(self) -> None:
        """Nothing to load; whether the server answers is seen by the first question."""

    async def close(self) -> None:
        await self._client.aclose()

    def _request(self, question: str, texts: Sequence[str]) -> dict[str, object]:
        body: dict[str, object] = {
            "query": question,
            "documents": texts,
            "top_n": len(texts),
            "return_documents": False,
        }
        return {"model": self._model, **body} if self._model else body

    async def _tei_scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Batches go at once, since the server queues them anyway."""
        batches = [texts[start : start + _TEI_BATCH] for start in range(0, len(texts), _TEI_BATCH)]
        return list(chain.from_iterable(await asyncio.gather(*(self._tei_batch(question, each) for each in batches))))

    async def _tei_batch(self, question: str, texts: Sequence[str]) -> list[float]:
        response = await self._post("rerank", {"query": question, "texts": texts, "truncate": True})
        self._speaks_tei = response.status_code != 404
        return self._scores(response, len(texts))

    async def _post(self, path: str, body: dict[str, object]) -> httpx.Response:
        try:
            response = await self._client.post(path, json=body)
        except httpx.TimeoutException:
            raise self._gone("it took too long (GROUNDWORK_RERANKER__TIMEOUT_SECONDS)") from None
        except httpx.HTTPError as error:
            raise self._gone(self._cleared(str(error)) or type(error).__name__) from None
        if response.status_code == 429 or response.status_code >= 500:
            raise self._gone(f"it answered {response.status_code}")
        return response

    def _scores(self, response: httpx.Response, wanted: int) -> list[float]:
        if response.status_code != 200:
            raise self._refusal(response)
        rows = self._rows(response)
        scores = dict(rows)
        if len(rows) != wanted or sorted(scores) != list(range(wanted)):
            raise Unavailable(
                f"The reranking server at {self._address} sent {len(rows)} scores for {wanted} texts, or not one for each."
            )
        if not all(map(math.isfinite, scores.values())):
            raise Unavailable(f"The reranking server at {self._address} sent a score that is no number.")
        return [scores[place] for place in range(wanted)]

    def _rows(self, response: httpx.Response) -> list[tuple[int, float]]:
        try:
            body: Any = response.json()
            rows = cast("list[dict[str, Any]]", body if isinstance(body, list) else body["results"])
            return [_row(each) for each in rows]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise Unavailable(f"What answers at {self._address} does not speak a reranking protocol.") from None

    def _gone(self, reason: str) -> Unavailable:
        return Unavailable(f"The reranking server at {self._address} does not answer: {reason}")

    def _refusal(self, response: httpx.Response) -> Unavailable:
        advice = {
            401: "Set GROUNDWORK_RERANKER__API_KEY.",
            403: "Set GROUNDWORK_RERANKER__API_KEY.",
            404: "Check GROUNDWORK_RERANKER__URL and GROUNDWORK_RERANKER__MODEL.",
            413: "Set a smaller GROUNDWORK_RERANKER__CANDIDATES.",
        }.get(response.status_code, "Check GROUNDWORK_RERANKER__MODEL and GROUNDWORK_RERANKER__CANDIDATES.")
        # A server that refuses a key likes to repeat parts of it.
        said = "" if response.status_code in {401, 403} else f" It said: {self._cleared(response.text)[:200]}"
        return Unavailable(
            f"The reranking server at {self._address} refused with {response.status_code}. {advice}{said}"
        )

    def _cleared(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _row(row: dict[str, Any]) -> tuple[int, float]:
    """Place and score of a text. Raises TypeError, KeyError, OverflowError for what is neither."""
    place, score = row["index"], row["relevance_score"] if "relevance_score" in row else row["score"]
    if type(place) is not int or type(score) not in {int, float}:
        raise TypeError("an index is a whole number, a score a number")
    return place, float(score)


def _usable_key(settings: RerankerSettings) -> str:
    key = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    if not (key.isascii() and key.isprintable()):  # an HTTP library's own complaint would quote it
        raise Invalid("GROUNDWORK_RERANKER__API_KEY holds characters that no key has; copy it again.")
    return key


def _encodable(text: str) -> str:
    """The text with lone surrogates, which JSON over HTTP cannot carry, replaced by question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
