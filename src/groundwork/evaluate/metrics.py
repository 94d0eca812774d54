"""Measures of a ranking against judgments, as trec_eval defines them, and of latencies."""

import math
from collections.abc import Mapping, Sequence


def ndcg(ranking: Sequence[str], relevant: Mapping[str, int], depth: int) -> float:
    """Normalised discounted cumulative gain at `depth`, linear gain (Järvelin and Kekäläinen, 2002)."""
    ideal = sorted((grade for grade in relevant.values() if grade > 0), reverse=True)[:depth]
    best = _gain(ideal)
    return _gain([max(0, relevant.get(each, 0)) for each in ranking[:depth]]) / best if best else 0.0


def recall(ranking: Sequence[str], relevant: Mapping[str, int], depth: int) -> float:
    """The share of the relevant documents among the first `depth`."""
    wanted = {each for each, grade in relevant.items() if grade > 0}
    return len(wanted & set(ranking[:depth])) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranking: Sequence[str], relevant: Mapping[str, int], depth: int) -> float:
    """One over the place of the first relevant document, 0 when none is among the first `depth`."""
    for place, each in enumerate(ranking[:depth], start=1):
        if relevant.get(each, 0) > 0:
            return 1 / place
    return 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the least value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def _gain(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(place + 1) for place, grade in enumerate(grades, start=1))
