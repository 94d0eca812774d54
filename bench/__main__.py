"""`scripts/bench`: ingest against the raw model, a search over HTTP against its raw parts, start and memory.

With `--answers`: what an answer takes beside its search and its language model, and many streams at once.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import answers, load, machine, parts, service
from bench.corpus import Corpus, from_folder, generated
from groundwork.assembly import Platform, open_platform
from groundwork.ingest.items import Prepared
from groundwork.ingest.steps import Steps
from groundwork.settings import Settings, load_settings
from groundwork.telemetry import logs

_BLOCK = 50
_RAW_TEXTS = 1_500
_CHUNKS_PER_GENERATED_DOCUMENT = 2


def main() -> None:
    """Runs the benchmark and prints its figures."""
    options = _options()
    logs.configure("human", "warning")
    corpus = _corpus(options)
    with tempfile.TemporaryDirectory(prefix="groundwork-bench-") as folder:
        settings = load_settings().model_copy(update={"data_dir": Path(folder), "database_url": None})
        if options.answers:
            figures = answers.measure(settings, corpus, options.questions, options.streams)
        else:
            figures = {"corpus": corpus.name, **asyncio.run(_ingest(settings, corpus))}
            with service.serve(settings.data_dir) as running:
                figures |= asyncio.run(_search(settings, corpus, running, options.searches))
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for key, value in figures.items():
            print(f"{key:28} {value}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--corpus", type=Path, help="a BEIR folder; text is generated without it")
    parser.add_argument("--documents", type=int, help="how many documents (default: 5,000, or all of the corpus)")
    parser.add_argument("--chunks", type=int, help="generate about this many chunks, such as 100000")
    parser.add_argument("--searches", type=int, default=400, help="searches per client count (default: 400)")
    parser.add_argument("--answers", action="store_true", help="measure answers of a language model instead")
    parser.add_argument("--questions", type=int, default=200, help="with --answers: questions (default: 200)")
    parser.add_argument("--streams", type=int, default=200, help="with --answers: streams at once (default: 200)")
    return parser.parse_args()


def _corpus(options: argparse.Namespace) -> Corpus:
    if options.corpus is not None:
        return from_folder(Path(os.environ.get("BENCH_FROM", ".")) / options.corpus, options.documents)
    if options.chunks is not None:
        return generated(options.chunks // _CHUNKS_PER_GENERATED_DOCUMENT)
    return generated(options.documents or (500 if options.answers else 5_000))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _ingest(settings: Settings, corpus: Corpus) -> dict[str, Any]:
    """Ingest end to end, and the model alone on the same passages before and after it."""
    async with open_platform(settings) as platform:
        await platform.ready()
        _tell(f"ingesting {len(corpus.items):,} documents")
        raw_before = await _raw_rate(platform, corpus)
        began = time.perf_counter()
        report = await platform.ingest_items(corpus.items, "default", lambda total, tally: None)
        seconds = time.perf_counter() - began
        raw = (raw_before + await _raw_rate(platform, corpus)) / 2
        tokens = _tokens(platform, corpus)
    rate = tokens / seconds
    return {
        "documents": len(corpus.items),
        "chunks": report.tally.chunks,
        "ingest_seconds": round(seconds, 2),
        "ingest_documents_per_second": round(len(corpus.items) / seconds, 1),
        "raw_embed_tokens_per_second": round(raw),
        "ingest_tokens_per_second": round(rate),
        "ingest_ratio": round(rate / raw, 3),
        "ingest_peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


async def _raw_rate(platform: Platform, corpus: Corpus) -> float:
    texts = _passages(platform, corpus, _RAW_TEXTS)
    return await asyncio.to_thread(platform.embedder.raw_tokens_per_second, texts)  # type: ignore[attr-defined]


def _passages(platform: Platform, corpus: Corpus, most: int | None) -> list[str]:
    """What ingestion embeds, from documents spread over the whole corpus."""
    passages: list[str] = []
    step = max(1, len(corpus.items) // (most or len(corpus.items)))
    for item in corpus.items[::step]:
        outcome = platform.pipeline.preparer.prepare(item, {}, Steps())
        passages += outcome.passages() if isinstance(outcome, Prepared) else []
    return passages[:most]


def _tokens(platform: Platform, corpus: Corpus) -> int:
    """Tokens that were embedded, special ones included, as the raw rate counts them."""
    most = platform.embedder.max_tokens
    return sum(min(platform.embedder.count_tokens(text) + 2, most) for text in set(_passages(platform, corpus, None)))


async def _search(settings: Settings, corpus: Corpus, running: service.Service, searches: int) -> dict[str, Any]:
    """Searches over HTTP and their raw parts by turns, so that a noisy neighbour meets both."""
    questions = (corpus.questions * (searches // max(1, len(corpus.questions)) + 1))[:searches]
    rest = machine.rss_mb(running.pid)
    raw = parts.Parts()
    latencies: list[float] = []
    seconds = 0.0
    async with open_platform(settings) as platform:
        await platform.ready()
        within = await parts.filters(platform)
        load.run(running.port, running.key, [f"warm {each}" for each in questions[:_BLOCK]], 8)
        await parts.measure(platform, within, questions[:20], parts.Parts())
        for at in range(0, len(questions), _BLOCK):
            block = questions[at : at + _BLOCK]
            await parts.measure(platform, within, block, raw)
            once = await asyncio.to_thread(load.run, running.port, running.key, [f"{each} " * 1 for each in block], 1)
            latencies += once.latencies_ms
            seconds += once.seconds
        gate = await parts.gate_ms(platform, running.key)
    one = load.Load(latencies, seconds)
    _tell("eight clients")
    eight = load.run(running.port, running.key, [f"{each} again" for each in questions], 8)
    p50 = raw.p50()
    return {
        **{f"raw_{part}_ms": round(value, 3) for part, value in p50.items()},
        "raw_sum_ms": round(sum(p50.values()), 3),
        "gate_p50_ms": round(gate, 3),
        "search_p50_ms": round(one.p50, 3),
        "search_p95_ms": round(one.p95, 3),
        "search_ratio": round(one.p50 / sum(p50.values()), 3),
        "rps_1": round(one.per_second, 1),
        "rps_8": round(eight.per_second, 1),
        "rps_gain": round(eight.per_second / one.per_second, 3),
        "p50_8_ms": round(eight.p50, 3),
        "p95_8_ms": round(eight.p95, 3),
        "ready_seconds": round(running.ready_seconds, 2),
        "rss_mb": round(rest),
        "peak_rss_mb": round(machine.peak_rss_mb(running.pid)),
        "postgres_pss_mb": round(machine.tree_pss_mb(str(settings.data_dir))),
    }


main()
