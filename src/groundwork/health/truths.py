"""What has to be true of everything stored, in the order in which it is looked at and mended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Truth:
    """Something that always holds, unless something broke."""

    name: str
    sentence: str
    """What holds, in words for a person."""
    cure: str
    """What mending does, or what a person can do where it cannot."""


TRUTHS = (
    Truth("rows_without_owner", "Every text, passage and vector belongs to a document.", "They are removed."),
    Truth("ready_without_text", "A document that is ready has a text of its own.", "It is read again from its source."),
    Truth(
        "altered_text",
        "A stored text is, to the byte, the one its version names.",
        "A live one is read again from its source, a former one is removed: what cites it is no longer true.",
    ),
    Truth(
        "passages_of_former_text",
        "Passages are those of the live text.",
        "The live text is split and embedded again.",
    ),
    Truth(
        "passage_not_at_span",
        "A passage is, to the character, the text at its span.",
        "The text is split and embedded again.",
    ),
    Truth(
        "words_without_passage", "Every word of a live text is in a passage.", "The text is split and embedded again."
    ),
    Truth("passages_without_vector", "Every passage has a vector of the live model.", "It is embedded again."),
    Truth(
        "access_drift",
        "Passages and vectors are in the collection of their document, so that access to it is theirs.",
        "The text is split and embedded again, into the collection of the document.",
    ),
    Truth(
        "stale_checkpoints",
        "A vector that is computed is published within a day.",
        "It is removed, and computed again when it is needed.",
    ),
    Truth("stalled_jobs", "A running job has a process that runs it.", "It is queued again."),
    Truth("uploads_nobody_takes", "An upload that waits has a job that will take it.", "It is taken in."),
    Truth(
        "missing_originals",
        "The original of an upload is kept.",
        "Nothing can bring it back here; the text is whole. Restore the folder `originals` from a backup, or upload it again.",
    ),
    Truth(
        "spent_not_in_ledger",
        "What an account has spent in a period is the sum of its lines in the ledger.",
        "It is summed up again.",
    ),
    Truth(
        "reserved_for_nothing",
        "What an account has reserved in a period is the sum of its open requests.",
        "It is summed up again.",
    ),
    Truth("lexical_missing", "The lexical index holds every passage.", "They are indexed."),
    Truth("lexical_extra", "The lexical index holds nothing but passages.", "It is built anew."),
    Truth("vectors_missing", "The vector index holds every passage.", "It is built anew."),
    Truth("vectors_extra", "The vector index holds nothing but passages.", "It is built anew."),
)
