"""Tags and metadata: what people write on a document, apart from its text. Taking it in again leaves them alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from groundwork.errors import Invalid
from groundwork.ingest.records import announce, grow
from groundwork.ingest.upkeep import records
from groundwork.store.database import Database

MOST_TAGS = 100
MOST_METADATA_CHARACTERS = 16_384
_LONGEST = 200


@dataclass(frozen=True)
class Relabel:
    """A change of what is written on a document."""

    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    metadata: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    """Values by key; None takes the key away."""


async def relabel(database: Database, document_id: UUID, change: Relabel) -> bool:
    """Changes tags and metadata of a document; False when there is none. Searches by tag see it at once.

    Raises Invalid for a tag or key that is empty or too long, and for more than a document may carry.
    """
    add, remove = ([_checked("tag", each) for each in tags] for tags in (change.add, change.remove))
    metadata = {_checked("metadata key", key): _clean(value) for key, value in change.metadata.items()}
    async with database.transaction() as connection:
        before = await records.labels(connection, document_id)
        if before is None:
            return False
        tags = sorted(({*before.tags} | {*add}) - {*remove})
        kept = {key: value for key, value in {**before.metadata, **metadata}.items() if value is not None}
        _check_size(tags, kept)
        await records.set_labels(connection, document_id, tags, kept)
        if tags != sorted(before.tags):
            await announce(connection, before.collection_id, [document_id])
        elif kept != before.metadata:
            await grow(connection, before.collection_id)
    return True


def _checked(what: str, text: str) -> str:
    text = text.strip()
    if not text or len(text) > _LONGEST or "\0" in text:
        raise Invalid(f"A {what} has 1 to {_LONGEST} characters.")
    return text


def _clean(value: str | None) -> str | None:
    return value.replace("\0", " ") if value is not None else None


def _check_size(tags: Sequence[str], metadata: Mapping[str, object]) -> None:
    if len(tags) > MOST_TAGS:
        raise Invalid(f"A document carries at most {MOST_TAGS} tags; this would be {len(tags)}.")
    size = sum(len(key) + len(str(value)) for key, value in metadata.items())
    if size > MOST_METADATA_CHARACTERS:
        raise Invalid(
            f"A document's metadata has at most {MOST_METADATA_CHARACTERS:,} characters; this would be {size:,}."
        )
