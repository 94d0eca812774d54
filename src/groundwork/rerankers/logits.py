"""What a cross-encoder says as one number without bounds, brought into 0 to 1."""

import math
from collections.abc import Sequence

_ROUNDING = 1e-3
"""How far arithmetic in sixteen bits may leave 0 to 1 without meaning it."""


def sigmoid(logit: float) -> float:
    """The logistic function, for any finite number."""
    return 0.5 * (1 + math.tanh(logit / 2))


def bounded(scores: Sequence[float]) -> list[float]:
    """Scores in 0 to 1: as they are when they keep to it, through the logistic function when any does not."""
    if all(-_ROUNDING <= score <= 1 + _ROUNDING for score in scores):
        return [min(1.0, max(0.0, score)) for score in scores]
    return [sigmoid(score) for score in scores]
