"""How the embedder of a space is reached, as the record keeps it: everything but keys and this machine's threads."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from groundwork.errors import Invalid
from groundwork.settings import EmbedderSettings

Kind = Literal["openvino", "openai", "hashing"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KINDS = ("openvino", "openai", "hashing")


@dataclass(frozen=True)
class SpaceConfig:
    """What opens the embedder of a space. Fields its kind does not use are None."""

    kind: Kind
    url: str | None = None
    model: str | None = None
    dimension: int | None = None
    max_tokens: int | None = None
    from_settings: bool = False
    """Whether the settings made it: then it follows them when they name the same model at another address."""

    def to_json(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def is_model_of(self, other: "SpaceConfig") -> bool:
        """Whether both name the same model, as far as a configuration can tell."""
        return (self.kind, self.model, self.dimension) == (other.kind, other.model, other.dimension)

    def describe(self) -> str:
        """In a few words, for log lines and errors."""
        return " ".join(str(each) for each in (self.kind, self.model, self.dimension) if each is not None)


def from_json(value: Mapping[str, Any]) -> SpaceConfig:
    """From what the record keeps."""
    return SpaceConfig(**value)


def from_settings(settings: EmbedderSettings) -> SpaceConfig:
    """The space that the settings name."""
    config = _of_kind(settings.kind, settings)
    return replace(config, url=_without_credentials(config.url) if config.url else None, from_settings=True)


def asked_for(
    settings: EmbedderSettings,
    kind: str,
    url: str | None = None,
    model: str | None = None,
    dimension: int | None = None,
    max_tokens: int | None = None,
) -> SpaceConfig:
    """The space a person describes; what they leave out is as the settings have it. Raises Invalid."""
    if kind not in _KINDS:
        raise Invalid(f"{kind!r} is no kind of embedder: {', '.join(_KINDS)}.")
    given: dict[str, Any] = {"url": url, "model": model, "dimension": dimension, "max_tokens": max_tokens}
    named = {key: value for key, value in given.items() if value is not None}
    if kind == "openai" and not {"model", "dimension"} <= named.keys():
        raise Invalid("A space of an OpenAI-compatible server needs the model's name and the length of its vectors.")
    if not 1 <= named.get("dimension", 1) <= 4000 or named.get("max_tokens", 16) < 16:
        raise Invalid("Vectors have 1 to 4000 numbers, and a model reads at least 16 tokens.")
    unused = [key for key in named if getattr(_of_kind(kind, settings), key) is None]
    if unused:
        raise Invalid(f"A space of kind {kind} takes no {unused[0].replace('_', ' ')}.")
    if url is not None and url != _without_credentials(url):
        raise Invalid("Leave user and password out of the address: keys belong into the settings.")
    return _of_kind(kind, settings.model_copy(update=named))


def check_name(name: str) -> None:
    """Raises Invalid for what is no name of a space."""
    if not _NAME.fullmatch(name):
        raise Invalid("A space's name has up to 64 letters, digits, dots, dashes and underscores.")


def name_of_model(model: str) -> str:
    """A name for the space of a model."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-._")[:50] or "space"


def embedder_settings(name: str, config: SpaceConfig, given: EmbedderSettings) -> EmbedderSettings:
    """`given` with what opens the embedder of a space in place of what it says itself.

    The key is the space's own, by its name. The common key goes only to the address the settings name it for.
    """
    changes = {key: value for key, value in config.to_json().items() if key != "from_settings"}
    own = {_plain(each): key for each, key in given.space_api_keys.items()}
    home = given.kind == "openai" and config.url == _without_credentials(given.url)
    key: SecretStr | None = own.get(_plain(name)) or (given.api_key if home else None)
    return given.model_copy(update={**changes, "api_key": key, **({"url": given.url} if home else {})})


def _of_kind(kind: Kind, settings: EmbedderSettings) -> SpaceConfig:
    if kind == "openai":
        return SpaceConfig(kind, settings.url, settings.model, settings.dimension, settings.max_tokens)
    if kind == "hashing":
        return SpaceConfig(kind, dimension=settings.dimension, max_tokens=settings.max_tokens)
    return SpaceConfig(kind)


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all, as its embedder will say
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _plain(name: str) -> str:
    """Environment variables have neither case nor dashes."""
    return re.sub(r"[^a-z0-9]", "_", name.lower())
