"""Which key an embedder of a space gets, and that no key ever reaches the record."""

import pytest
from pydantic import SecretStr

from groundwork.settings import EmbedderSettings
from groundwork.spaces import config
from groundwork.spaces.config import SpaceConfig

HOME = EmbedderSettings(
    kind="openai",
    url="https://models.example/v1",
    api_key=SecretStr("common"),
    space_api_keys={"other_space": SecretStr("own")},
)


def _key(name: str, url: str, given: EmbedderSettings = HOME) -> str | None:
    key = config.embedder_settings(name, SpaceConfig("openai", url, "m", 3, 256), given).api_key
    return key.get_secret_value() if key else None


@pytest.mark.parametrize(
    ("name", "url", "key"),
    [
        ("any", "https://models.example/v1", "common"),
        ("any", "https://models.example/v1/", None),
        ("any", "https://elsewhere.example/v1", None),
        ("other-space", "https://elsewhere.example/v1", "own"),
        ("Other.Space", "https://models.example/v1", "own"),
    ],
)
def test_the_common_key_goes_to_its_own_address_only(name: str, url: str, key: str | None) -> None:
    assert _key(name, url) == key


def test_a_key_of_settings_that_use_no_server_goes_nowhere() -> None:
    local = HOME.model_copy(update={"kind": "openvino"})
    assert _key("any", "https://models.example/v1", local) is None


def test_the_record_holds_neither_keys_nor_passwords() -> None:
    given = HOME.model_copy(update={"url": "https://me:secret@models.example/v1?key=secret"})
    kept = config.from_settings(given).to_json()
    assert kept == {
        "kind": "openai",
        "url": "https://models.example/v1",
        "model": "all-minilm",
        "dimension": 384,
        "max_tokens": 256,
        "from_settings": True,
    }
    assert config.embedder_settings("any", config.from_json(kept), given).url == given.url
