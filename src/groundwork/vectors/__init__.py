"""Vector indexes: a vector in, the nearest chunks out. One port, one file per adapter, and a deterministic double.

Embeddings of record are in PostgreSQL (`chunk_embeddings`), written with their chunks in one transaction. An adapter
searches them, in place or in an engine of its own that follows the record. Only `assembly` names an adapter.
"""

from collections.abc import AsyncIterator
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from groundwork.candidates import Filters, Hit


class VectorIndex(Protocol):
    """Finds the chunks nearest to a vector."""

    @property
    def derived(self) -> bool:
        """Whether it is an engine of its own that can drift from the record; False: it searches the record itself."""
        ...

    async def search(self, space: int, vector: NDArray[np.float32], filters: Filters, limit: int) -> list[Hit]:
        """The `limit` nearest chunks of embedding space `space` that `filters` admit, best first.

        `vector` is float32 of shape (dimension,) and unit length; a hit's score is the cosine, -1 to 1.
        Raises Unavailable when the index does not answer.
        """
        ...

    async def prepare(self, space: int, dimension: int) -> bool:
        """Builds what makes searching `space` quick, when it has grown enough to need it. Searches go on meanwhile.

        False when another process is building just now, and it has to be asked again.
        """
        ...

    async def rebuild(self, space: int, dimension: int) -> None:
        """Builds all of that anew. Searches go on meanwhile."""
        ...

    async def count_document(self, document_id: UUID) -> int:
        """How many vectors of a document it holds, of all spaces: 0 once the document is deleted."""
        ...

    def ids(self, space: int) -> AsyncIterator[UUID]:
        """The chunks it holds of `space`, in ascending order; what compares it with the record."""
        ...

    async def forget(self, space: int) -> None:
        """Gives back what was built for `space`, whose vectors are about to be removed. Searches go on meanwhile."""
        ...

    async def ping(self) -> None:
        """Raises Unavailable when the index does not answer."""
        ...
