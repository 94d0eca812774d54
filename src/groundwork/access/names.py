"""Names of people, as they are kept and compared."""

import re
import unicodedata

from groundwork.errors import Invalid

_NAME = re.compile(r"[^\s\x00-\x1f\x7f/:]{1,100}")
_NEVER = {"Cc", "Cs", "Cf"}


def plain_name(text: str) -> str:
    """A user's name as it is kept: compatibility forms and case folded. Raises Invalid for what is no name."""
    name = unicodedata.normalize("NFKC", text).casefold().strip()
    if not _NAME.fullmatch(name) or any(unicodedata.category(each) in _NEVER for each in name):
        raise Invalid("A user's name has 1 to 100 characters, no space, slash or colon: 'ada' or 'ada@example.org'.")
    return name
