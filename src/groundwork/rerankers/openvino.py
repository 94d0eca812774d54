"""A cross-encoder in a folder, run by OpenVINO on the processor: question and text are read together, as one input.

Any model exported as a sequence classifier does, with one output (how well the text answers) or two (no, yes).
"""

import asyncio
import json
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from tokenizers import Tokenizer

from groundwork.errors import Invalid, Unavailable
from groundwork.inference import Batch, Ids, Streams, encodable, mask, padded, streams, together
from groundwork.rerankers.logits import sigmoid
from groundwork.settings import cpu_count

_MOST_TOKENS = 512
"""Question and text together, special tokens included, unless the model reads fewer."""
_LIMITS = (("tokenizer_config.json", "model_max_length"), ("config.json", "max_position_embeddings"))
"""Where exported models say how much they read."""
_FEWEST_TOKENS = 16
_CHARACTERS_PER_TOKEN = 100
"""Text beyond this is not even tokenised: no language spends so many characters on every token."""
_AT_ONCE = 2
"""Questions computed at the same time; others wait, and their callers may give up meanwhile."""


@dataclass(frozen=True)
class _Pair:
    """A question and a text, as the model reads them."""

    ids: Ids
    types: Ids


class OpenVinoReranker:
    """The model `openvino_model.xml` of a folder, or the only `*.xml` there, with the `tokenizer.json` beside it.

    Questions are cut to half of what the model reads, texts to what is then left. `threads` is how many threads
    compute, 0 for every core. Raises Invalid when the folder holds no such model.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self._folder = folder
        self._threads = threads or cpu_count()
        self._core = ov.Core()
        self._graph = _read_graph(self._core, folder)
        self._tokenizer = _load_tokenizer(folder)
        self._most = _most_tokens(folder)
        self._closing_tokens = _closing_tokens(self._tokenizer)
        self._filler = self._tokenizer.token_to_id("[PAD]") or self._tokenizer.token_to_id("<pad>") or 0
        self._outputs = _outputs(folder, self._graph)
        self._compiling = threading.Lock()
        self._compiled: Streams | None = None
        self._closed = False
        self._workers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rerank")

    @property
    def name(self) -> str:
        return f"openvino:{self._folder.name}"

    @property
    def private(self) -> bool:
        """It is: nothing leaves the process."""
        return True

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        self._check_open()
        with _stopped_when_left() as stop:
            return await asyncio.get_running_loop().run_in_executor(self._workers, self._score, question, texts, stop)

    async def warm(self) -> None:
        await self.score("ready", ["ready"])

    async def close(self) -> None:
        """Calls still running finish, later ones raise Unavailable."""
        self._closed = True
        self._workers.shutdown(wait=False)
        self._compiled = None

    def _score(self, question: str, texts: Sequence[str], stop: threading.Event) -> list[float]:
        logits = np.empty((len(texts), self._outputs), np.float32)
        try:
            self._streams().run(self._batches(self._pairs(question, texts), stop), logits)
        except RuntimeError as error:
            raise Unavailable(f"The cross-encoder in {self._folder} cannot compute: {error}") from error
        if not np.isfinite(logits).all():
            raise Unavailable(f"The cross-encoder in {self._folder} gives scores that are no numbers.")
        return [sigmoid(each) for each in _yes(logits).tolist()]

    def _pairs(self, question: str, texts: Sequence[str]) -> list[_Pair]:
        asked = self._start_of(question)
        most = self._most * _CHARACTERS_PER_TOKEN
        encodings = self._tokenizer.encode_batch_fast([(asked, encodable(text[:most])) for text in texts])
        return [_Pair(self._cut(encoding.ids), self._cut(encoding.type_ids)) for encoding in encodings]

    def _start_of(self, question: str) -> str:
        """As much of the question as half of the model's input holds."""
        question = encodable(question[: self._most * _CHARACTERS_PER_TOKEN])
        places: list[tuple[int, int]] = self._tokenizer.encode(question, add_special_tokens=False).offsets
        room = self._most // 2
        return question if len(places) <= room else question[: places[room - 1][1]]

    def _cut(self, values: Sequence[int]) -> Ids:
        """What the model reads of a pair: the end of the text goes, the tokens that close it stay."""
        whole = np.array(values, np.int64)
        if len(whole) <= self._most:
            return whole
        end = len(whole) - self._closing_tokens
        return np.append(whole[: self._most - self._closing_tokens], whole[end:])

    def _batches(self, pairs: Sequence[_Pair], stop: threading.Event) -> Iterator[Batch]:
        """The pairs in batches, for as long as somebody waits for them."""
        ids, types = [pair.ids for pair in pairs], [pair.types for pair in pairs]
        for rows, width in together(ids, streams(self._threads)):
            if stop.is_set():
                return
            inputs = {
                "input_ids": padded(ids, rows, width, self._filler),
                "attention_mask": mask(ids, rows, width),
                "token_type_ids": padded(types, rows, width),
            }
            yield Batch(rows, [inputs[name].astype(kind, copy=False) for name, kind in _inputs(self._graph)])

    def _streams(self) -> Streams:
        with self._compiling:
            self._check_open()
            if self._compiled is None:
                self._compiled = Streams(self._core, self._graph, self._threads)
            return self._compiled

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("The cross-encoder has been closed.")


@contextmanager
def _stopped_when_left() -> Generator[threading.Event]:
    """An event that is set once the block has been left, however it was."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()


def _yes(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logit of yes. Of two, the softmax of the second is the logistic function of their difference."""
    return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]


def _read_graph(core: ov.Core, folder: Path) -> ov.Model:
    try:
        graph = core.read_model(_model_file(folder))
        graph.reshape({port.get_any_name(): ov.PartialShape([-1, -1]) for port in graph.inputs})
    except RuntimeError as error:
        raise Invalid(f"The model in {folder} cannot be read; export it again. ({error})") from error
    if not {"input_ids"} <= _names(graph) <= {"input_ids", "attention_mask", "token_type_ids"}:
        raise Invalid(f"The model in {folder} reads {sorted(_names(graph))}; a cross-encoder reads input_ids.")
    return graph


def _model_file(folder: Path) -> Path:
    usual = folder / "openvino_model.xml"
    found = [usual] if usual.is_file() else sorted(folder.glob("*.xml"))
    if len(found) != 1:
        raise Invalid(
            f"There is no openvino_model.xml in {folder}, and not exactly one other *.xml. Set "
            "GROUNDWORK_RERANKER__PATH to the folder of a cross-encoder exported for OpenVINO."
        )
    return found[0]


def _load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer without the padding and truncation that such files like to carry."""
    file = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more particular
        raise Invalid(f"The tokenizer {file} cannot be read; it belongs beside the model. ({error})") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # a text that says [SEP] means the letters
    return tokenizer


def _most_tokens(folder: Path) -> int:
    said = [_number(folder / file, key) for file, key in _LIMITS]
    return max(_FEWEST_TOKENS, min([_MOST_TOKENS, *filter(None, said)]))


def _number(file: Path, key: str) -> int:
    """A whole number in a JSON file; 0 when it is not there."""
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return 0


def _closing_tokens(tokenizer: Tokenizer) -> int:
    """How many tokens follow the text of a pair."""
    places = tokenizer.encode("a", "b").sequence_ids
    return len(places) - 1 - max(place for place, sequence in enumerate(places) if sequence == 1)


def _outputs(folder: Path, graph: ov.Model) -> int:
    shape = graph.outputs[0].get_partial_shape()
    width = shape[1].get_length() if len(shape) == 2 and shape[1].is_static else 0
    if width not in {1, 2}:
        raise Invalid(f"The model in {folder} gives {shape} for a pair; a cross-encoder gives one number, or two.")
    return width


def _names(graph: ov.Model) -> set[str]:
    return {port.get_any_name() for port in graph.inputs}


def _inputs(graph: ov.Model) -> list[tuple[str, Any]]:
    """Name and kind of number of each input, in the model's order."""
    return [(port.get_any_name(), port.get_element_type().to_dtype()) for port in graph.inputs]
