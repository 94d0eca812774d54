"""What an answer takes beside its search and its language model, and what becomes of many streams at once.

Each question is asked three ways by turns, so that a noisy neighbour meets all of them: over HTTP as a whole answer, as a
search alone, and of the bare language model, with a prompt as long as ours. Answers have two citations. Where they say what no
passage does in these words, the sentence behind a citation is found by meaning, which is measured by itself.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from bench import model, service
from bench.corpus import Corpus
from groundwork.assembly import open_platform
from groundwork.evaluate.metrics import percentile
from groundwork.settings import Settings

_WARM = 20
_PROMPT_CHARACTERS = 8_000
_MOST_AT_ONCE = 400


def measure(settings: Settings, corpus: Corpus, questions: int, streams: int) -> dict[str, Any]:
    """Every figure."""
    asyncio.run(_ingest(settings, corpus))
    with model.serve() as url:
        own = {"name": "own", "kind": "compatible", "url": f"{url}/v1", "tier": 0, "models": ["m"]}
        chosen = {"LLMS__PROVIDERS": json.dumps([own]), "HTTP__MAX_REQUESTS": str(_MOST_AT_ONCE)}
        with service.serve(settings.data_dir, **chosen) as running:
            figures = asyncio.run(_overhead(running, url, _asked(corpus, questions + _WARM)))
            figures |= asyncio.run(_lag(running, _asked(corpus, questions + _WARM)))
            return figures | asyncio.run(_rush(running, streams))


async def _ingest(settings: Settings, corpus: Corpus) -> None:
    async with open_platform(settings) as platform:
        await platform.ready()
        await platform.ingest_items(corpus.items, "default", lambda total, tally: None)


def _asked(corpus: Corpus, most: int) -> list[str]:
    return (corpus.questions * (most // len(corpus.questions) + 1))[:most]


def _client(running: service.Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{running.port}", headers={"X-API-Key": running.key}, timeout=60
    )


async def _overhead(running: service.Service, url: str, questions: list[str]) -> dict[str, Any]:
    took: dict[str, list[float]] = {each: [] for each in ("answer", "search", "provider", "paraphrased")}
    async with _client(running) as client, httpx.AsyncClient(timeout=60) as bare:
        for number, question in enumerate(questions):
            # Each in words of its own, since what was embedded or answered before is quick.
            spent = {
                "answer": await _answer(client, f"{question} {number}"),
                "search": await _search(client, f"{number} {question}"),
                "provider": await _provider(bare, url, question),
                "paraphrased": await _answer(client, f"{question}, {model.PARAPHRASED} {number}"),
            }
            if number >= _WARM:
                for what, ms in spent.items():
                    took[what].append(ms)
    p50 = {what: percentile(each, 0.5) for what, each in took.items()}
    return {
        "answer_p50_ms": round(p50["answer"], 3),
        "answer_p95_ms": round(percentile(took["answer"], 0.95), 3),
        "answer_search_p50_ms": round(p50["search"], 3),
        "answer_provider_p50_ms": round(p50["provider"], 3),
        "answer_overhead_ms": round(p50["answer"] - p50["search"] - p50["provider"], 3),
        "answer_overhead_paraphrased_ms": round(p50["paraphrased"] - p50["search"] - p50["provider"], 3),
    }


async def _answer(client: httpx.AsyncClient, question: str) -> float:
    began = time.perf_counter()
    reply = await client.post("/api/v1/ask", json={"question": question})
    ms = (time.perf_counter() - began) * 1000
    told = reply.raise_for_status().json()
    if told["mode"] != "generated" or len(told["citations"]) != 2 or told["cached"]:
        raise RuntimeError(f"this was no fresh answer with two citations: {told}")
    return ms


async def _search(client: httpx.AsyncClient, question: str) -> float:
    began = time.perf_counter()
    (await client.post("/api/v1/search", json={"query": question, "limit": 8})).raise_for_status()
    return (time.perf_counter() - began) * 1000


async def _provider(client: httpx.AsyncClient, url: str, question: str) -> float:
    prompt = f"{question} " * (_PROMPT_CHARACTERS // (len(question) + 1))
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    began = time.perf_counter()
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as reply:
        async for _ in reply.aiter_bytes():
            pass
    return (time.perf_counter() - began) * 1000


async def _lag(running: service.Service, questions: list[str]) -> dict[str, Any]:
    """From the language model's sending of a first piece to the first `delta` at the client."""
    lags: list[float] = []
    async with _client(running) as client:
        for number, question in enumerate(questions):
            body = {"question": f"{number}: {question}", "stream": True}
            async with client.stream("POST", "/api/v1/ask", json=body) as reply:
                sent, came = await _first_words(reply.raise_for_status().aiter_lines())
            if number >= _WARM:
                lags.append((came - sent) * 1000)
    return {
        "first_token_lag_ms": round(percentile(lags, 0.5), 3),
        "first_token_lag_p95_ms": round(percentile(lags, 0.95), 3),
    }


async def _first_words(lines: AsyncIterator[str]) -> tuple[float, float]:
    sent = came = 0.0
    name = ""
    async for line in lines:
        if line.startswith("event: "):
            name = line[7:]
        elif name == "delta" and not came and line.startswith("data: "):
            came = time.monotonic()
            sent = float(json.loads(line[6:])["text"].split()[1])
    return sent, came


async def _rush(running: service.Service, streams: int) -> dict[str, Any]:
    sys.path.insert(0, str(model.ROOT / "tests"))
    from plugins.streams import all_at_once

    began = time.perf_counter()
    told = await all_at_once(running.port, running.key, streams)
    lost = [each for stream in told if (each := stream.lost(model.PIECES))]
    for each in lost[:5]:
        print(each, file=sys.stderr)
    return {
        "streams": streams,
        "stream_pieces": model.PIECES,
        "streams_seconds": round(time.perf_counter() - began, 2),
        "streams_lost": len(lost),
    }
