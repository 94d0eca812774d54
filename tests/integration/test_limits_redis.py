"""Limits counted in a real Redis: for all processes together, and in memory while it is away."""

import asyncio
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from groundwork.access.limits import Limiter
from groundwork.caches import windows
from groundwork.settings import LimitSettings
from plugins.redis_server import REDIS, redis_server

pytestmark = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")


async def _admitted(limiter: Limiter, times: int) -> int:
    return sum([bool((each := await limiter.hit("ask", "key:a")) and each.admitted) for _ in range(times)])


def test_processes_share_one_count_and_go_on_without_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(windows, "_REDIS_AGAIN_SECONDS", 0.2)
    with redis_server(tmp_path) as redis:
        settings = LimitSettings(ask_per_minute=10, redis_url=SecretStr(redis.url))

        async def inside() -> None:
            one, two = Limiter(settings), Limiter(settings)
            assert await _admitted(one, 6) + await _admitted(two, 6) == 10

            redis.kill()
            began = time.monotonic()
            assert await _admitted(one, 12) == 10, "in memory, from the start"
            assert time.monotonic() - began < 3
            assert "FALLBACK ACTIVATED" in capsys.readouterr().out

            redis.start()
            deadline = time.monotonic() + 20
            while "Redis answers again" not in capsys.readouterr().out:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert await _admitted(one, 1) == 1, "in Redis again, which has forgotten"
            assert await _admitted(two, 12) == 9
            await one.close()
            await two.close()

        asyncio.run(inside())


def test_the_password_of_redis_is_never_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = LimitSettings(ask_per_minute=10, redis_url=SecretStr("redis://:hunter2canary@127.0.0.1:1/0"))

    async def inside() -> None:
        limiter = Limiter(settings)
        assert await _admitted(limiter, 2) == 2
        await limiter.close()

    asyncio.run(inside())
    said = capsys.readouterr()
    assert "FALLBACK ACTIVATED" in said.out
    assert "hunter2canary" not in said.out + said.err + repr(settings)
