"""The model in the package, run by OpenVINO on the processor.

Two ways in, because two things are wanted. A question is short and somebody waits: one model per input length, the
input padded to the next, since fixed shapes answer in two thirds of the time of free ones. Passages are many: in
batches, several at once, as `inference` does it.
"""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from tokenizers import Tokenizer

from groundwork.embedders import Model, Vectors
from groundwork.embedders.packaged import MAX_TOKENS, model_file, packaged_model, tokenizer_file
from groundwork.errors import Unavailable
from groundwork.inference import Batch, Ids, Streams, compiled, encodable, mask, padded, streams, together
from groundwork.settings import cpu_count

_QUERY_LENGTHS = (16, 32, 64, 256)
_QUERY_THREADS = 4
"""A short question is too little work to share among more."""

_WINDOW = 1024
"""Passages tokenised and sorted together; bounds memory, long enough that sorting leaves almost no padding."""

_MOST_CHARACTERS = 100 * MAX_TOKENS
"""Text beyond this is not even tokenised: no language spends a hundred characters on every token."""


@dataclass(frozen=True)
class _QuerySlot:
    """One request of one fixed length, with the arrays it reads from."""

    request: ov.InferRequest
    ids: Ids
    mask: Ids


class OpenVinoEmbedder:
    """The packaged all-MiniLM-L6-v2 in eight bits: 384 dimensions, English, the first 256 tokens of a text.

    `threads` is how many threads compute, 0 for every core. With `cache_dir` compiled models are kept on disk (about
    25 MB each, five at most), which makes the first use of each a tenth of a second faster. Models are compiled on
    first use; `warm` does it ahead.
    """

    def __init__(self, threads: int = 0, cache_dir: Path | None = None) -> None:
        self._threads = threads or cpu_count()
        self._tokenizer = _load_tokenizer()
        self._core = ov.Core()
        if cache_dir is not None:
            _keep_compiled(self._core, cache_dir)
        self._graph = _read_graph(self._core)
        self._compiling = threading.Lock()
        self._queries: dict[int, ov.CompiledModel] = {}
        self._query_slots: dict[int, deque[_QuerySlot]] = {length: deque() for length in _QUERY_LENGTHS}
        self._passages: Streams | None = None
        self._closed = False

    @property
    def model(self) -> Model:
        return packaged_model()

    @property
    def max_tokens(self) -> int:
        return MAX_TOKENS

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(encodable(text), add_special_tokens=False).ids)

    def embed_query(self, text: str) -> Vectors:
        tokens = self._tokenize([text])[0]
        with self._query_slot(len(tokens)) as slot:
            slot.ids[0, : len(tokens)] = tokens
            slot.ids[0, len(tokens) :] = 0
            slot.mask[0, : len(tokens)] = 1
            slot.mask[0, len(tokens) :] = 0
            slot.request.infer()
            return slot.request.get_output_tensor(0).data[0].copy()

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        vectors = np.empty((len(texts), self.model.dimension), np.float32)
        for start in range(0, len(texts), _WINDOW):
            tokens = self._tokenize(texts[start : start + _WINDOW])
            self._passage_streams().run(_batches(tokens, self._threads), vectors[start : start + _WINDOW])
        return vectors

    def raw_tokens_per_second(self, texts: Sequence[str]) -> float:
        """What the compiled model alone does with these texts: tokenised, sorted and batched before the clock starts.

        Counts real tokens, special ones included, padding not. The yardstick for a whole ingest.
        """
        tokens = self._tokenize(texts)
        batches = list(_batches(tokens, self._threads))
        vectors = np.empty((len(texts), self.model.dimension), np.float32)
        self._passage_streams().run(batches, vectors)  # compiles, and prepares a kernel for each shape
        begin = time.perf_counter()
        self._passage_streams().run(batches, vectors)
        return sum(map(len, tokens)) / (time.perf_counter() - begin)

    @property
    def in_process(self) -> bool:
        """It is."""
        return True

    def warm(self) -> None:
        """Compiles what is not compiled yet, about a second in all, so that no caller waits for it."""
        for length in _QUERY_LENGTHS:
            self._query_model(length)
        self._passage_streams()

    def ping(self) -> None:
        self.embed_query("ping")

    def close(self) -> None:
        """Gives the models' memory back; calls still running finish, later ones raise Unavailable."""
        with self._compiling:
            self._closed = True
            self._queries.clear()
            self._passages = None
        for slots in self._query_slots.values():
            slots.clear()

    def _tokenize(self, texts: Sequence[str]) -> list[Ids]:
        clipped = [encodable(text[:_MOST_CHARACTERS]) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(clipped)
        return [_truncated(np.array(encoding.ids, np.int64)) for encoding in encodings]

    @contextmanager
    def _query_slot(self, tokens: int) -> Generator[_QuerySlot]:
        length = next(length for length in _QUERY_LENGTHS if length >= tokens)
        model = self._query_model(length)
        try:
            slot = self._query_slots[length].pop()
        except IndexError:
            slot = _new_slot(model, length)
        yield slot
        self._query_slots[length].append(slot)

    def _query_model(self, length: int) -> ov.CompiledModel:
        model = self._queries.get(length)
        if model is not None:
            return model
        with self._compiling:
            self._check_open()
            if length not in self._queries:
                graph = self._graph.clone()
                graph.reshape({"input_ids": [1, length], "attention_mask": [1, length]})
                threads = min(self._threads, _QUERY_THREADS)
                self._queries[length] = compiled(self._core, graph, streams=1, threads=threads)
            return self._queries[length]

    def _passage_streams(self) -> Streams:
        passages = self._passages
        if passages is not None:
            return passages
        with self._compiling:
            self._check_open()
            if self._passages is None:
                self._passages = Streams(self._core, self._graph, self._threads)
            return self._passages

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("The embedding model has been closed.")


def _load_tokenizer() -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_file()))
    except Exception as error:
        raise Unavailable(f"The packaged tokenizer cannot be read; install Groundwork again. ({error})") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _keep_compiled(core: ov.Core, folder: Path) -> None:
    # The cache only saves time: OpenVINO compiles where it finds none, finds it damaged or cannot write it; so do we.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        core.set_property({"CACHE_DIR": str(folder)})


def _read_graph(core: ov.Core) -> ov.Model:
    try:
        return core.read_model(model_file())
    except RuntimeError as error:
        raise Unavailable(f"The packaged model cannot be read; install Groundwork again. ({error})") from error


def _new_slot(model: ov.CompiledModel, length: int) -> _QuerySlot:
    slot = _QuerySlot(model.create_infer_request(), np.zeros((1, length), np.int64), np.zeros((1, length), np.int64))
    slot.request.set_input_tensor(0, ov.Tensor(slot.ids, shared_memory=True))
    slot.request.set_input_tensor(1, ov.Tensor(slot.mask, shared_memory=True))
    return slot


def _truncated(tokens: Ids) -> Ids:
    """The first tokens and the closing one, at most MAX_TOKENS."""
    if len(tokens) <= MAX_TOKENS:
        return tokens
    return np.append(tokens[: MAX_TOKENS - 1], tokens[-1])


def _batches(tokens: Sequence[Ids], threads: int) -> Iterator[Batch]:
    for rows, width in together(tokens, streams(threads)):
        yield Batch(rows, [padded(tokens, rows, width), mask(tokens, rows, width)])
