"""Redis killed, paused and slowed down under questions: no request fails, and none waits much longer than with Redis.

Clients ask without a pause, by turns what is remembered and what is new, of a service whose answers a local model server
writes. The 95th percentile of how long that takes is compared with the one of the same service while all is well. A
fault goes on for some seconds; then Redis is well again, and the service has to use it by itself.
"""

import argparse
import asyncio
import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from drills import Result
from groundwork.evaluate.metrics import percentile

_TESTS = Path(__file__).resolve().parents[1] / "tests"
_ALLOWED_MS = 50.0
"""What a fault may cost beside twice the healthy time."""
_SLOW_SECONDS = 2.0
_BACK_SECONDS = 30.0
_FALLBACK = re.compile(r"^rag_cache_fallback_active (\S+)$", re.MULTILINE)
_FAULTS = ("killed", "paused", "slow")
Act = Callable[[], Awaitable[None]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of this drill."""
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each fault goes on (default: 10)")
    parser.add_argument("--clients", type=int, default=10, help="who ask at the same time (default: 10)")


@dataclass
class Load:
    """Clients that ask without a pause."""

    client: httpx.AsyncClient
    took: list[float] = field(default_factory=list[float])
    """Milliseconds of every question since somebody last looked."""
    failures: list[str] = field(default_factory=list[str])
    cached: int = 0
    stopped: bool = False
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def ask(self) -> None:
        """One client."""
        while not self.stopped:
            number = next(self._numbers)
            question = f"When was tunnel {number % 5 if number % 2 else number + 100} opened?"
            began = time.perf_counter()
            try:
                reply = await self.client.post("/api/v1/ask", json={"question": question})
                told = reply.json()
                if reply.status_code != 200 or told["mode"] != "generated":
                    self.failures.append(f"{reply.status_code}: {reply.text[:200]}")
                self.cached += bool(told.get("cached"))
            except httpx.HTTPError as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            self.took.append((time.perf_counter() - began) * 1000)

    async def during(self, seconds: float) -> float:
        """The 95th percentile of the coming seconds, in milliseconds."""
        self.took.clear()
        await asyncio.sleep(seconds)
        return percentile(self.took, 0.95) if self.took else seconds * 1000

    async def fallback(self, wanted: bool) -> float:
        """Seconds until memory stands in, or no longer does. Raises TimeoutError."""
        began = time.monotonic()
        async with asyncio.timeout(_BACK_SECONDS):
            while True:
                found = _FALLBACK.search((await self.client.get("/metrics")).text)
                if found and bool(float(found[1])) is wanted:
                    return time.monotonic() - began
                await asyncio.sleep(0.05)


def run(options: argparse.Namespace) -> Result:
    """The drill."""
    result = rehearse(options.seconds, options.clients)
    healthy = result.figures["healthy_p95_ms"]
    for fault in _FAULTS:
        p95 = result.figures[f"{fault}_p95_ms"]
        if p95 > 2 * healthy + _ALLOWED_MS:
            result.problems.append(f"with Redis {fault} the 95th percentile was {p95} ms, and {healthy} ms without")
    return result


def rehearse(seconds: float, clients: int) -> Result:
    """Every fault, for so long; the problems are those that no slow machine excuses."""
    sys.path.insert(0, str(_TESTS))
    from plugins.redis_server import redis_server

    with tempfile.TemporaryDirectory(prefix="groundwork-drill-") as place:
        folder = Path(place)
        folder.chmod(0o711)
        with redis_server(folder) as redis:
            result = asyncio.run(_serve(folder, redis, seconds, clients))
        told = (folder / "log").read_text(encoding="utf-8").count("FALLBACK ACTIVATED: what is remembered")
    result.figures["fallbacks_told"] = told
    if told != len(_FAULTS):
        result.problems.append(f"the log tells {told} times of FALLBACK ACTIVATED; there were {len(_FAULTS)} faults")
    return result


async def _serve(folder: Path, redis: Any, seconds: float, clients: int) -> Result:
    from plugins.model_server import serve_models
    from plugins.service import service
    from plugins.slow_proxy import slow_proxy

    with serve_models() as models:
        own = {"name": "own", "kind": "compatible", "url": f"{models.url}/v1", "tier": 0, "models": ["m"]}
        async with slow_proxy(redis.port) as proxy:
            settings = {
                "LLMS__PROVIDERS": json.dumps([own]),
                "CACHE__REDIS_URL": f"redis://127.0.0.1:{proxy.own_port}/0",
                "LIMITS__ASK_PER_MINUTE": "1000000",
            }
            stack = ExitStack()
            try:
                serving = service(folder / "data", folder / "log", **settings)
                running = await asyncio.to_thread(stack.enter_context, serving)
                await asyncio.to_thread(_upload, running)
                return await _rehearse(running, redis, proxy, seconds, clients)
            finally:
                await asyncio.to_thread(stack.close)  # the proxy goes on until the service has stopped


def _upload(running: Any) -> None:
    document = running.upload("tunnel.md", b"# Tunnels\n\nEach tunnel was opened in 1932 by the mayor.")
    running.document_when_done(document.body["id"])


async def _rehearse(running: Any, redis: Any, proxy: Any, seconds: float, clients: int) -> Result:
    async def start() -> None:
        await asyncio.to_thread(redis.start)

    async def slow(delay: float) -> None:
        proxy.delay = delay

    faults: dict[str, tuple[Act, Act]] = {
        "killed": (lambda: asyncio.to_thread(redis.kill), start),
        "paused": (lambda: asyncio.to_thread(redis.pause), lambda: asyncio.to_thread(redis.go_on)),
        "slow": (lambda: slow(_SLOW_SECONDS), lambda: slow(0.0)),
    }
    result = Result({})
    limits = httpx.Limits(max_connections=clients + 1)
    async with httpx.AsyncClient(
        base_url=running.url, headers={"X-API-Key": running.key}, timeout=60, limits=limits
    ) as client:
        load = Load(client)
        asking = [asyncio.create_task(load.ask()) for _ in range(clients)]
        await load.during(min(2.0, seconds))
        result.figures["healthy_p95_ms"] = round(await load.during(seconds), 1)
        for name, (begin, end) in faults.items():
            await _one(name, begin, end, load, seconds, result)
        load.stopped = True
        await asyncio.gather(*asking)
    result.figures |= {"requests_failed": len(load.failures), "answers_from_the_cache": load.cached}
    result.problems += [f"a request failed: {each}" for each in load.failures[:5]]
    return result


async def _one(name: str, begin: Act, end: Act, load: Load, seconds: float, result: Result) -> None:
    try:
        await begin()
        result.figures[f"{name}_p95_ms"] = round(await load.during(seconds), 1)
        await load.fallback(True)
        await end()
        result.figures[f"{name}_back_seconds"] = round(await load.fallback(False), 2)
    except TimeoutError:
        result.problems.append(f"with Redis {name} memory did not stand in, or Redis was not used again")
