"""A Groundwork service of its own process, as an operator starts it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import free_port


@dataclass(frozen=True)
class Service:
    """A service that is ready."""

    pid: int
    port: int
    ready_seconds: float
    key: str
    """An API key that may search and ask."""


@contextmanager
def serve(data_dir: Path, **settings: str) -> Generator[Service]:
    """A service on `data_dir` for as long as the block runs, with settings such as `HTTP__MAX_REQUESTS`."""
    port = free_port()
    environment = {**os.environ, "GROUNDWORK_DATA_DIR": str(data_dir), "GROUNDWORK_HTTP__PORT": str(port)}
    for counted in ("SEARCH", "ASK"):
        environment[f"GROUNDWORK_LIMITS__{counted}_PER_MINUTE"] = "1000000"  # counted as ever, and never reached
    environment |= {f"GROUNDWORK_{name}": value for name, value in settings.items()}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "groundwork", "serve"], env=environment, stdout=sys.stderr, stderr=subprocess.DEVNULL
    )
    try:
        _await_ready(process, port)
        ready_seconds = time.perf_counter() - began
        scopes = ["--scope=search", "--scope=ask"]
        command = [sys.executable, "-m", "groundwork", "keys", "create", "bench", *scopes, "--json"]
        key = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)["key"]
        yield Service(process.pid, port, ready_seconds, key)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _await_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    raise RuntimeError("the service was not ready within 120 s")
