"""The key of a provider: where it is looked for, and what it is. Read anew for every request, so that it can be changed."""

import os
import re

from groundwork.errors import Invalid
from groundwork.settings.models import LOCAL, ProviderSettings

_BARE = re.compile(r"[\x21-\x7e]+")


def needs_key(settings: ProviderSettings) -> bool:
    """Whether this kind of provider answers nobody without one."""
    return settings.kind not in {*LOCAL, "compatible"}


def where(settings: ProviderSettings) -> str | None:
    """Where the key is looked for, for a person; None when nowhere."""
    if settings.api_key is not None:
        return "api_key"
    if settings.api_key_env is not None:
        return f"environment variable {settings.api_key_env}"
    return f"file {settings.api_key_file}" if settings.api_key_file is not None else None


def read_key(settings: ProviderSettings) -> str:
    """The key; empty when there is none and none is needed. Raises Invalid, which never shows it."""
    place = where(settings)
    if place is None:
        if needs_key(settings):
            raise Invalid(f"Provider {settings.name} has no key. Set its api_key_env, api_key_file or api_key.")
        return ""
    key = _look(settings, place).strip()
    if not key:
        raise Invalid(f"The key of provider {settings.name} is not there: {place} is empty or not set.")
    if not _BARE.fullmatch(key):  # an HTTP library's own complaint would quote it
        raise Invalid(
            f"The key of provider {settings.name} ({place}) holds characters that no key has, such as spaces or letters "
            "beyond ASCII; copy it again."
        )
    return key


def _look(settings: ProviderSettings, place: str) -> str:
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    if settings.api_key_env is not None:
        return os.environ.get(settings.api_key_env, "")
    assert settings.api_key_file is not None
    try:
        return settings.api_key_file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Invalid(
            f"The key of provider {settings.name} ({place}) is no text; the file holds the key only."
        ) from None
    except OSError as error:
        raise Invalid(f"The key of provider {settings.name} cannot be read: {place}: {error.strerror}.") from None
