"""Embedders: text in, unit vectors out. One port, one file per adapter, and a deterministic double.

Only `assembly` names an adapter. An adapter knows nothing of documents, collections or the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """What an embedding space must know of its model; two spaces are compatible when these are equal."""

    name: str
    revision: str
    """Identifies the weights: a digest for a local model, the provider's name of the version otherwise."""
    dimension: int


class Embedder(Protocol):
    """Turns text into vectors of unit length, so that a dot product is the cosine."""

    @property
    def model(self) -> Model:
        """The model behind this embedder."""
        ...

    @property
    def max_tokens(self) -> int:
        """The longest input in tokens, special tokens included; the rest of a longer text is not seen."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` takes, without special tokens."""
        ...

    def embed_query(self, text: str) -> Vectors:
        """One question as a float32 vector of shape (dimension,). Blocks; thread-safe.

        Raises Unavailable when a remote model does not answer.
        """
        ...

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Passages as float32 of shape (len(texts), dimension), in the order given. Blocks; thread-safe.

        Raises Unavailable when a remote model does not answer.
        """
        ...

    @property
    def in_process(self) -> bool:
        """Whether a question is embedded in a few milliseconds of this process's own time, waiting for nothing else."""
        ...

    def warm(self) -> None:
        """Loads what the first callers would otherwise wait for. Blocks for about a second; thread-safe."""
        ...

    def ping(self) -> None:
        """Raises Unavailable when the embedder cannot serve. Costs no money."""
        ...

    def close(self) -> None:
        """Gives back what the embedder holds."""
        ...
