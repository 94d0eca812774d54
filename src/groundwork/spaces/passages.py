"""What is embedded for a chunk, the same in every space and at every time."""

import hashlib
from collections.abc import Iterable


def passage_text(title: str, heading_path: Iterable[str], text: str) -> str:
    """A chunk's words with what tells it apart from others like it put before them: its title, then its headings."""
    headings = [heading for heading in heading_path if heading != title]
    return "\n".join([title, *headings, text])


def passage_hash(text: str) -> bytes:
    """SHA-256 of what is embedded; equal hash, equal vector."""
    return hashlib.sha256(text.encode()).digest()
