"""Models that say what a test has them say, in the place of those that settings name."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from groundwork.llms import LanguageModel, ScriptedModel


@dataclass
class Scripted:
    """The models there are, in order."""

    models: list[ScriptedModel] = field(default_factory=list[ScriptedModel])

    def candidates(self, private: bool) -> Sequence[LanguageModel]:
        """All of them; in privacy mode those of tier 0."""
        return [each for each in self.models if not private or each.tier == 0]

    async def close(self) -> None:
        """There is nothing to give back."""
