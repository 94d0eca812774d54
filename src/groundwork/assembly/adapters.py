"""Which adapter stands behind each port, by the settings; loaded when first needed, since most are slow to import."""

from pathlib import Path

from groundwork.caches import Cache
from groundwork.embedders import Embedder
from groundwork.ingest.prepare import Preparer
from groundwork.lexical.follow import Follower
from groundwork.llms.guard import Guards
from groundwork.llms.registry import Models
from groundwork.rerankers import Reranker
from groundwork.retrieve.rerank import Reranking
from groundwork.settings import CacheSettings, EmbedderSettings, LlmSettings, RerankerSettings, Settings
from groundwork.store.database import Database


def follower(folder: Path, database: Database) -> Follower:
    """The lexical index of this machine, kept in step with the record."""
    from groundwork.lexical import tantivy  # start-up time

    return Follower(folder, tantivy.TantivyIndex, tantivy.FORMAT, database)


def embedder(chosen: EmbedderSettings) -> Embedder:
    """The chosen model. Raises Invalid."""
    if chosen.kind == "openai":
        from groundwork.embedders.openai import OpenAIEmbedder  # start-up time

        return OpenAIEmbedder(chosen)
    if chosen.kind == "hashing":
        from groundwork.embedders.hashing import HashingEmbedder  # start-up time

        return HashingEmbedder(chosen.dimension, chosen.max_tokens)
    from groundwork.embedders.openvino import OpenVinoEmbedder  # start-up time

    return OpenVinoEmbedder(chosen.threads)


def reranker(chosen: RerankerSettings) -> Reranker | None:
    """What puts passages into order, when one is set. Raises Invalid."""
    if chosen.kind == "http":
        from groundwork.rerankers.http import HttpReranker  # start-up time

        return HttpReranker(chosen)
    if chosen.kind == "openvino" and chosen.path is not None:
        from groundwork.rerankers.openvino import OpenVinoReranker  # start-up time

        return OpenVinoReranker(chosen.path, chosen.threads)
    return None


def reranking(chosen: RerankerSettings) -> Reranking | None:
    """The same within the bounds that searches use it in. Raises Invalid."""
    found = reranker(chosen)
    return Reranking(found, chosen) if found else None


def cache(chosen: CacheSettings) -> Cache:
    """What is remembered for a while: in Redis when one is named, and in memory while it does not answer. Raises Invalid."""
    from groundwork.caches.memory import MemoryCache  # start-up time

    memory = MemoryCache(chosen.memory_mb << 20)
    if chosen.redis_url is None:
        return memory
    from groundwork.caches.redis import RedisCache  # start-up time
    from groundwork.caches.resilient import ResilientCache  # start-up time

    first = RedisCache(chosen.redis_url.get_secret_value(), chosen.timeout_seconds)
    return ResilientCache(first, memory, chosen.probe_seconds)


def models(chosen: LlmSettings, guards: Guards) -> Models:
    """The language models under guard. Those who speak to providers are loaded when one is first asked."""
    return Models(chosen, guards)


def preparer(settings: Settings) -> Preparer:
    """Files into chunks."""
    from groundwork.embedders.packaged import tokenizer_file  # start-up time
    from groundwork.ingest.extract import Extractor  # start-up time
    from groundwork.ingest.split import Splitter  # start-up time

    return Preparer(
        Extractor(settings.ingest),
        Splitter(tokenizer_file(), settings.ingest.chunk_tokens),
        settings.ingest.max_file_mb << 20,
    )
