"""The deterministic double: no model, words only. For tests and for trying things out.

Feature hashing (Weinberger et al. 2009): every word is hashed to one dimension and a sign, a text is the sum of its
words at unit length. Texts that share words are near each other; meaning is not seen.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from groundwork.embedders import Model, Vectors

_WORD = re.compile(r"\w+")
_SPECIAL_TOKENS = 2
"""Tokens a real model puts around a text; counted here as well, so that the double cuts where a model would."""


class HashingEmbedder:
    """Vectors of `dimension` from the words of a text; the first `max_tokens` less two words are seen."""

    def __init__(self, dimension: int = 384, max_tokens: int = 256) -> None:
        self._model = Model(name="hashing", revision="1", dimension=dimension)
        self._max_tokens = max_tokens

    @property
    def model(self) -> Model:
        return self._model

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def count_tokens(self, text: str) -> int:
        """Words; punctuation counts nothing."""
        return len(_WORD.findall(text))

    def embed_query(self, text: str) -> Vectors:
        vector = np.zeros(self._model.dimension, np.float32)
        for word in _WORD.findall(text)[: self._max_tokens - _SPECIAL_TOKENS]:
            digest = hashlib.blake2b(word.casefold().encode("utf-8", "replace"), digest_size=8).digest()
            sign = 1 if digest[0] & 1 else -1
            vector[int.from_bytes(digest[1:]) % len(vector)] += sign
        length = float(np.linalg.norm(vector))
        if length == 0:  # no words, or words that cancel each other out
            vector[0] = length = 1
        return vector / np.float32(length)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        vectors = np.empty((len(texts), self._model.dimension), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self.embed_query(text)
        return vectors

    @property
    def in_process(self) -> bool:
        """It is."""
        return True

    def warm(self) -> None:
        """Nothing to load."""

    def ping(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Holds nothing."""
