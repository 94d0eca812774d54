"""Two rankings made one: each list's scores as shares of its best, then added by weight.

Both scores have a floor that means "nothing in common": cosine 0 and BM25 0. Scaling from that floor, and not from the
worst of the list, lets each list say how sure it is. Where a question is foreign to the embedding model all cosines
crowd together, their shares differ little, and the words decide; where no word tells, it is the other way round.
(Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", 2023, call it theoretical min-max.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from groundwork.candidates import Hit

_UNSEEN_LEXICAL = 0.5
"""A chunk the words did not find lies between nothing and the worst found: taken as half of that."""


@dataclass(frozen=True)
class Fused:
    """A chunk with its fused score, 0 to 1, and the scores it came from (None: not among that search's best)."""

    chunk_id: UUID
    score: float
    dense: float | None
    lexical: float | None


def fuse(dense: Sequence[Hit], lexical: Sequence[Hit], dense_weight: float, limit: int | None = None) -> list[Fused]:
    """Both rankings as one, best first, `limit` of it. With one of them empty, the other's order stands."""
    if not dense or not lexical:
        dense_weight = 1.0 if dense else 0.0
    # Keyed by the ids' integers: a UUID computes its hash in Python, hundreds of times a search.
    dense_scores = {hit.chunk_id.int: hit.score for hit in dense}
    lexical_scores = {hit.chunk_id.int: hit.score for hit in lexical}
    dense_shares, lexical_shares = _shares(dense_scores), _shares(lexical_scores)
    # The nearest by vector exclude nothing: what is not among them is at most as near as the last.
    unseen_dense = min(dense_shares.values(), default=0.0)
    unseen_lexical = _UNSEEN_LEXICAL * min(lexical_shares.values(), default=0.0)
    scores = {
        key: dense_weight * dense_shares.get(key, unseen_dense)
        + (1 - dense_weight) * lexical_shares.get(key, unseen_lexical)
        for key in dense_scores | lexical_scores
    }
    best = sorted(scores, key=lambda key: -scores[key])[:limit]
    return [Fused(UUID(int=key), scores[key], dense_scores.get(key), lexical_scores.get(key)) for key in best]


def _shares(scores: Mapping[int, float]) -> dict[int, float]:
    """Each score as a share of the best, 0 where it is negative; all 0 when nothing is above 0."""
    best = max(scores.values(), default=0.0)
    return {key: max(0.0, score) / best if best > 0 else 0.0 for key, score in scores.items()}
