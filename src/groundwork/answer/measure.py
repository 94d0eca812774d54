"""How many tokens a text is to a model: estimated at first, then measured by what its provider reports."""

from collections import deque
from collections.abc import Callable
from math import ceil

from groundwork.llms import LanguageModel, Prompt, Usage
from groundwork.llms.tokens import estimate

Count = Callable[[str], int]
"""Tokens of a text."""

_REMEMBERED = 16
_LEAST = 0.5
"""Below which no measurement is believed: a provider that counts only what it had not cached."""


class Measures:
    """The proportion of reported to estimated tokens, for each model; the largest of the last few counts."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], deque[float]] = {}

    def of(self, model: LanguageModel) -> Count:
        """How to count for a model."""
        ratio = max(self._seen.get((model.provider, model.name), [1.0]))
        return lambda text: ceil(ratio * estimate(text))

    def learn(self, model: LanguageModel, prompt: Prompt, usage: Usage) -> None:
        """Takes in what a provider reported for a prompt."""
        if not usage.reported or not usage.input_tokens:
            return
        guessed = estimate(prompt.system) + sum(estimate(each.text) for each in prompt.messages)
        seen = self._seen.setdefault((model.provider, model.name), deque(maxlen=_REMEMBERED))
        seen.append(max(_LEAST, usage.input_tokens / max(1, guessed)))
