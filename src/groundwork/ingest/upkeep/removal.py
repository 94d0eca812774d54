"""After a document was removed: what each index, asked by itself, still holds of it."""

from uuid import UUID

from groundwork.errors import Corrupt, Unavailable
from groundwork.ingest.upkeep import records
from groundwork.lexical.follow import Follower
from groundwork.store.database import Database
from groundwork.vectors import VectorIndex


async def prove(database: Database, lexical: Follower, vectors: VectorIndex, document_id: UUID) -> dict[str, int]:
    """How much the record and every index hold of a removed document: zeros, by name.

    Raises Unavailable when an index cannot be asked yet, Corrupt when one still holds something. The removal stands, and
    no search shows the document: the record has the last word.
    """
    if not await lexical.catch_up():
        raise Unavailable(
            "The document is removed from the record, and no search shows it. The lexical index has not caught up yet, so "
            "that it cannot be proved there: run `groundwork check` in a moment."
        )
    proof = await records.remains(database, document_id)
    if vectors.derived:
        proof["vectors"] = await vectors.count_document(document_id)
    proof["lexical"] = lexical.index.count_document(document_id)
    left = {name: count for name, count in proof.items() if count}
    if left:
        held = ", ".join(f"{name}: {count}" for name, count in left.items())
        raise Corrupt(
            f"The document is removed, and something of it is left ({held}). No search shows it. Run `groundwork check --repair`."
        )
    return proof
