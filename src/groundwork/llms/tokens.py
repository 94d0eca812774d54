"""How many tokens a text may be, where nobody has counted: an estimate on the high side."""

from groundwork.llms import Prompt

_BYTES_PER_TOKEN = 3
_PER_MESSAGE = 4
"""What a protocol adds to each message: who speaks, and where it begins and ends."""


def size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode("utf-8", "replace"))


def of_size(size: int) -> int:
    """Bytes divided by three, rounded up: about a third more than English takes, about right elsewhere."""
    return -(-size // _BYTES_PER_TOKEN)


def estimate(text: str) -> int:
    """Tokens of a text."""
    return of_size(size(text))


def estimate_prompt(prompt: Prompt) -> int:
    """Tokens of all that a model is given."""
    texts = [prompt.system, *(each.text for each in prompt.messages)]
    return sum(estimate(text) + _PER_MESSAGE for text in texts)
