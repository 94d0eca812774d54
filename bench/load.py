"""Searches over HTTP as a client makes them: one connection kept open per client, one request at a time."""

import http.client
import json
import threading
import time
from dataclasses import dataclass

from groundwork.evaluate.metrics import percentile


@dataclass(frozen=True)
class Load:
    """What some clients saw. Times in milliseconds."""

    latencies_ms: list[float]
    seconds: float

    @property
    def p50(self) -> float:
        """The median latency."""
        return percentile(self.latencies_ms, 0.5)

    @property
    def p95(self) -> float:
        """The 95th percentile of latency."""
        return percentile(self.latencies_ms, 0.95)

    @property
    def per_second(self) -> float:
        """Requests answered per second, all clients together."""
        return len(self.latencies_ms) / self.seconds


class Client:
    """One client. Raises RuntimeError for anything but 200."""

    def __init__(self, port: int, key: str) -> None:
        self._headers = {"Content-Type": "application/json", "X-API-Key": key}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def search(self, question: str) -> float:
        """One search; its latency in milliseconds."""
        began = time.perf_counter()
        body = json.dumps({"query": question, "limit": 10})
        self._connection.request("POST", "/api/v1/search", body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"search answered {response.status}: {answer[:300]!r}")
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def run(port: int, key: str, questions: list[str], clients: int) -> Load:
    """`questions` asked by `clients` at once, each taking the next from its own share."""
    latencies: list[list[float]] = [[] for _ in range(clients)]

    def work(number: int) -> None:
        client = Client(port, key)
        for question in questions[number::clients]:
            latencies[number].append(client.search(question))
        client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    together = [each for share in latencies for each in share]
    if len(together) != len(questions):
        raise RuntimeError(f"only {len(together)} of {len(questions)} searches were answered")
    return Load(together, seconds)
