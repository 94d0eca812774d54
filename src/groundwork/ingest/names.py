"""What collections and sources may be called."""

import unicodedata

from groundwork.errors import Invalid

_MOST_CHARACTERS = 200
_NOT_TEXT = {"Cc", "Cs"}  # control characters, and halves of surrogate pairs


def check_collection_name(name: str) -> None:
    """Raises Invalid for what no collection may be called."""
    if not name.strip() or len(name) > _MOST_CHARACTERS or "\0" in name or "/" in name:
        raise Invalid("A collection's name has 1 to 200 characters and no slash.")


def check_source_name(name: str) -> None:
    """Raises Invalid for what nobody may call a source. One made for a path is named by that path instead."""
    odd = "/" in name or name.startswith(".") or any(unicodedata.category(character) in _NOT_TEXT for character in name)
    if odd or not name.strip() or len(name) > _MOST_CHARACTERS:
        raise Invalid(
            "A source's name has 1 to 200 characters, no slash and no control characters, and begins with no dot."
        )
