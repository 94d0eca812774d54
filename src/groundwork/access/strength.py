"""Default and weak secrets, refused where others than this machine can reach the service."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from groundwork.errors import Refused
from groundwork.settings import Settings

_SHORTEST = 8
_FEWEST_CHARACTERS = 4
_DEFAULTS = frozenset(
    "postgres postgresql password passw0rd password1 password123 changeme changeit change-me change_me changethis admin "
    "admin123 administrator root toor secret secretkey supersecret minio minio123 minioadmin groundwork redis foobared "
    "123456 1234567 12345678 123456789 1234567890 qwerty qwertyuiop default example letmein welcome iloveyou "
    "test1234 testtest guest user12345 your-api-key your_api_key api-key sk-xxxxxxxx placeholder not-needed".split()
)


@dataclass(frozen=True)
class _Given:
    """A secret from the environment; whoever holds one never prints it."""

    variable: str
    secret: str = field(repr=False)
    user: str = ""


def refuse_weak_secrets(settings: Settings, environment: Mapping[str, str], why: str) -> None:
    """Raises Refused naming each variable whose secret is a default or weak, never its value.

    `why` says what makes secrets matter here, as in "GROUNDWORK_ENVIRONMENT is production".
    """
    found = [f"  {each.variable}: {reason}" for each in _given(settings, environment) if (reason := _weakness(each))]
    if found:
        raise Refused(
            f"Weak secrets are not accepted, because {why}:\n"
            + "\n".join(dict.fromkeys(found))
            + f"\nChoose random ones of at least {_SHORTEST} characters, as `openssl rand -hex 24` prints them, "
            "leave out those that nobody asks for, and start again."
        )


def _weakness(given: _Given) -> str:
    """Why a secret is weak; empty when it is not, or when there is none."""
    plain = given.secret.strip().casefold()
    if not plain:
        return ""
    if plain in _DEFAULTS:
        return "the password or key in it is a well-known default."
    if plain == given.user.strip().casefold():
        return "the password in it is the user name."
    if len(plain) < _SHORTEST:
        return f"the password or key in it has fewer than {_SHORTEST} characters."
    if len(set(plain)) < _FEWEST_CHARACTERS:
        return "the password or key in it repeats a few characters."
    return ""


def _given(settings: Settings, environment: Mapping[str, str]) -> Iterator[_Given]:
    if settings.database_url is not None:
        yield from _of_database(settings.database_url.get_secret_value(), environment)
    embedder, sources = settings.embedder, settings.sources
    yield _Given("GROUNDWORK_EMBEDDER__API_KEY", _plain(embedder.api_key))
    for name, key in embedder.space_api_keys.items():
        yield _Given(f"GROUNDWORK_EMBEDDER__SPACE_API_KEYS__{name.upper()}", _plain(key))
    yield _Given(
        "GROUNDWORK_SOURCES__S3_SECRET_ACCESS_KEY", _plain(sources.s3_secret_access_key), sources.s3_access_key_id or ""
    )
    yield _Given("GROUNDWORK_AUTH__OIDC_CLIENT_SECRET", _plain(settings.auth.oidc_client_secret))
    for each in settings.llms.providers:
        yield _Given(f"GROUNDWORK_LLMS__PROVIDERS, the key of {each.name}", _plain(each.api_key))
    yield _Given("GROUNDWORK_RERANKER__API_KEY", _plain(settings.reranker.api_key))
    yield from _of_redis("GROUNDWORK_LIMITS__REDIS_URL", _plain(settings.limits.redis_url))
    yield from _of_redis("GROUNDWORK_CACHE__REDIS_URL", _plain(settings.cache.redis_url))
    yield _Given("ADMIN_PASSWORD", environment.get("ADMIN_PASSWORD", ""), "admin")


def _of_database(url: str, environment: Mapping[str, str]) -> Iterator[_Given]:
    """A URL that is none is told of where it is used; one without a password takes libpq's, or needs none."""
    try:
        parts = conninfo_to_dict(url)
    except (ProgrammingError, ValueError):
        return
    user, password = str(parts.get("user") or ""), str(parts.get("password") or "")
    if password:
        yield _Given("GROUNDWORK_DATABASE_URL", password, user)
    else:
        yield _Given("PGPASSWORD", environment.get("PGPASSWORD", ""), user)


def _of_redis(variable: str, url: str) -> Iterator[_Given]:
    with suppress(ValueError):
        parts = urlsplit(url)
        yield _Given(variable, unquote(parts.password or ""), unquote(parts.username or ""))


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
