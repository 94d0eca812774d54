"""Redis killed, paused and slowed down under questions: no request fails, and it is used again by itself.

The drill `redis-faults` does the same for longer, and compares how long the questions took.
"""

import pytest
from drills.redis_faults import rehearse

from plugins.redis_server import REDIS

pytestmark = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")


def test_no_question_fails_for_want_of_redis() -> None:
    result = rehearse(seconds=1.0, clients=8)
    assert result.problems == []
    assert result.figures["requests_failed"] == 0
    assert result.figures["answers_from_the_cache"] > 0
    assert result.figures["fallbacks_told"] == 3
    assert all(result.figures[f"{fault}_back_seconds"] > 0 for fault in ("killed", "paused", "slow"))
