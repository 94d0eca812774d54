"""Metrics of a running process, for Prometheus to read at `/metrics`. Names are contract.

Labels take few values: names of providers as the settings give them, and words of fixed lists.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

disable_created_metrics()

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_STATES = {"closed": 0, "open": 1, "half_open": 2}


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(name, meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(name, meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, *labels: str) -> Histogram:
    return Histogram(name, meaning, labels, registry=REGISTRY, buckets=_SECONDS)


_hits = _counter("rag_cache_hits_total", "Answers taken from the cache.")
_misses = _counter("rag_cache_misses_total", "Answers looked for in the cache and not there.")
_hit_rate = _gauge("rag_cache_hit_rate", "Share of answers looked for that were in the cache, since the start.")
_fallback = _gauge("rag_cache_fallback_active", "1 while memory stands in for Redis.")
_latency = _histogram("rag_llm_latency_seconds", "Requests to a language model, from sent to ended.", "provider")
_first_token = _histogram("rag_llm_first_token_seconds", "From a request to its first token.", "provider")
_requests = _counter(
    "rag_llm_requests_total", "Requests to a language model, by how they ended.", "provider", "outcome"
)
_tokens = _counter("rag_llm_tokens_total", "Tokens sent (input) and received (output).", "provider", "direction")
_cost = _counter("rag_llm_cost_usd_total", "US dollars that requests cost.", "provider")
_breaker = _gauge("rag_circuit_breaker_state", "0 closed, 1 open, 2 half-open.", "provider")
_transitions = _counter("rag_circuit_breaker_transitions_total", "Changes of state.", "provider", "from", "to")
_remaining = _gauge("rag_rate_limit_remaining", "Requests that may still be sent in this minute.", "provider")
_unresolved = _counter("rag_citations_unresolved_total", "Citations in generated answers that resolve to no passage.")


def text() -> bytes:
    """Everything, in Prometheus's text format."""
    return generate_latest(REGISTRY)


def answer_looked_up(found: bool) -> None:
    """An answer was looked for in the cache."""
    (_hits if found else _misses).inc()
    hits, misses = _value(_hits), _value(_misses)
    _hit_rate.set(hits / (hits + misses))


def cache_fallback(active: bool) -> None:
    """Memory stands in for Redis, or does no longer."""
    _fallback.set(active)


def llm_first_token(provider: str, seconds: float) -> None:
    """The first piece of a reply came."""
    _first_token.labels(provider).observe(seconds)


def llm_request(provider: str, outcome: str, seconds: float | None = None) -> None:
    """A request ended after so many seconds; None: it was not sent."""
    _requests.labels(provider, outcome).inc()
    if seconds is not None:
        _latency.labels(provider).observe(seconds)


def llm_usage(provider: str, input_tokens: int, output_tokens: int, cost_usd: float) -> None:
    """What a request took."""
    _tokens.labels(provider, "input").inc(max(0, input_tokens))
    _tokens.labels(provider, "output").inc(max(0, output_tokens))
    _cost.labels(provider).inc(max(0.0, cost_usd))


def breaker_state(provider: str, state: str) -> None:
    """`closed`, `open` or `half_open`, as far as known."""
    _breaker.labels(provider).set(_STATES[state])


def breaker_transition(provider: str, before: str, after: str) -> None:
    """A breaker changed its state."""
    _transitions.labels(provider, before, after).inc()
    breaker_state(provider, after)


def rate_limit_remaining(provider: str, requests: int) -> None:
    """What is left of a provider's requests a minute."""
    _remaining.labels(provider).set(requests)


def citations_unresolved(count: int) -> None:
    """So many citations of a generated answer resolve to nothing."""
    _unresolved.inc(count)


def _value(counter: Counter) -> float:
    return next(sample.value for metric in counter.collect() for sample in metric.samples)
