"""Models in OpenVINO's format, computed on the processor: what every adapter that runs one does the same way.

Many texts are sorted by length, cut into batches of about the same number of tokens, and computed several batches at
once on one thread each. OpenVINO computes outside Python's global lock, so an event loop in another thread goes on.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

Ids = NDArray[np.int64]

_BATCH_TOKENS = 1024
"""Tokens of one batch; measured flat from 512 to 2048, slower and larger beyond."""
_LENGTH_STEP = 16
"""Lengths are rounded up to this, so that few distinct shapes occur and their kernels are found ready."""
_MOST_STREAMS = 16


@dataclass(frozen=True)
class Batch:
    """Texts that are computed together."""

    rows: list[int]
    """Which texts they are, by their place among all."""
    inputs: Sequence[NDArray[np.integer[Any]]]
    """What the model reads, in the order of its inputs, each of shape (rows, width)."""


class Streams:
    """A compiled model that computes batches, several at once. Thread-safe.

    Requests of several callers share the streams in turn, so a small call does not wait for a large one to end.
    """

    def __init__(self, core: ov.Core, graph: ov.Model, threads: int) -> None:
        self._at_once = 2 * streams(threads)
        self._model = compiled(core, graph, streams=streams(threads), threads=threads)
        self._idle: deque[ov.InferRequest] = deque()

    def run(self, batches: Iterable[Batch], results: NDArray[np.float32]) -> None:
        """Computes the batches and puts what the model gives for each text in its row of `results`."""
        running: deque[tuple[ov.InferRequest, Batch]] = deque()
        try:
            for batch in batches:
                if len(running) == self._at_once:
                    self._collect(running, results)
                running.append((self._start(batch), batch))
            while running:
                self._collect(running, results)
        finally:
            for request, _ in running:
                request.wait()

    def _start(self, batch: Batch) -> ov.InferRequest:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._model.create_infer_request()
        for place, values in enumerate(batch.inputs):
            request.set_input_tensor(place, ov.Tensor(values, shared_memory=True))
        request.start_async()
        return request

    def _collect(self, running: deque[tuple[ov.InferRequest, Batch]], results: NDArray[np.float32]) -> None:
        request, batch = running.popleft()
        request.wait()
        results[batch.rows] = request.get_output_tensor(0).data
        self._idle.append(request)


def streams(threads: int) -> int:
    """How many batches are computed at once on so many threads."""
    return min(threads, _MOST_STREAMS)


def compiled(core: ov.Core, graph: ov.Model, *, streams: int, threads: int) -> ov.CompiledModel:
    """The model, compiled for the processor."""
    return core.compile_model(
        graph,
        "CPU",
        {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
            # Pinned threads of several processes, or of several models, would queue on one core while others idle.
            "ENABLE_CPU_PINNING": False,
            # Processors with bfloat16 would use it for what is not eight bits: three percent faster, a little
            # worse at finding, and other results than on the machine next to it.
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )


def together(tokens: Sequence[Ids], streams: int) -> Iterator[tuple[list[int], int]]:
    """Rows of texts of about the same length, and the width they share: longest first, enough for every stream."""
    lengths = np.array([len(ids) for ids in tokens])
    order: list[int] = np.argsort(-lengths, kind="stable").tolist()
    share = -(-len(tokens) // streams)
    start = 0
    while start < len(order):
        width = -(-int(lengths[order[start]]) // _LENGTH_STEP) * _LENGTH_STEP
        rows = order[start : start + min(share, max(1, _BATCH_TOKENS // width))]
        yield rows, width
        start += len(rows)


def padded(tokens: Sequence[Ids], rows: Sequence[int], width: int, filler: int = 0) -> Ids:
    """These rows as one array, filled up on the right."""
    ids = np.full((len(rows), width), filler, np.int64)
    for line, row in enumerate(rows):
        ids[line, : len(tokens[row])] = tokens[row]
    return ids


def mask(tokens: Sequence[Ids], rows: Sequence[int], width: int) -> Ids:
    """1 where `padded` has a token, 0 where it was filled up."""
    ones = np.zeros((len(rows), width), np.int64)
    for line, row in enumerate(rows):
        ones[line, : len(tokens[row])] = 1
    return ones


def encodable(text: str) -> str:
    """The text with lone surrogates, which no tokenizer takes, replaced by question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
