"""A language model of a process of its own that answers at once: the test kit's server, run by `python -m bench.model`.

Who asks for a stream of the rush gets 40 numbered pieces, 20 ms apart. Everybody else gets the moment at which the answer was
sent, on this machine's monotonic clock, and then half a sentence of each of the first two passages, cited; or, asked for
other words, two statements that share no word with any passage.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIECES = 40
_BETWEEN = 0.02
PARAPHRASED = "in other words"
_OTHER_WORDS = "Nobody ever wrote this before [1]. Whoever reads along may wonder why [2]."
_PASSAGE = re.compile(r"^passage \d+ \w+\n.*\n\n(.*)$", re.MULTILINE)


@contextmanager
def serve() -> Generator[str]:
    """Its URL, for as long as the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.model"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


def _main() -> None:
    from plugins.model_server import Asked, Behaviour, says, serve_models
    from plugins.streams import numbered

    rush = numbered(PIECES, _BETWEEN)

    def decide(asked: Asked) -> Behaviour:
        prompt: str = asked.body["messages"][-1]["content"]
        if "of the rush" in prompt:
            return rush(asked)
        answer = _OTHER_WORDS if PARAPHRASED in prompt else _quoting(prompt)
        pieces = re.findall(r"\S+\s*", answer)
        return says(f"At {time.monotonic():.6f} ", *pieces)

    with serve_models() as server:
        server.decide = decide
        print(server.url, flush=True)
        sys.stdin.read()


def _quoting(prompt: str) -> str:
    first = [" ".join(text.split()[:9]) for text in _PASSAGE.findall(prompt)[:2]]
    return " ".join(f"{words} [{number}]." for number, words in enumerate(first, start=1))


if __name__ == "__main__":
    _main()
