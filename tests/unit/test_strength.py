"""Default and weak secrets are refused by the name of their variable, and never shown."""

import pytest
from pydantic import SecretStr

from groundwork.access.strength import refuse_weak_secrets
from groundwork.errors import Refused
from groundwork.settings import EmbedderSettings, LimitSettings, Settings, SourceSettings
from groundwork.settings.models import CacheSettings, LlmSettings, ProviderSettings, RerankerSettings

_GOOD = "hT5-kw9vQz2-mLx"


def _settings(
    database_url: str | None = None,
    api_key: str | None = None,
    space_key: str | None = None,
    s3: tuple[str, str] | None = None,
    redis_url: str | None = None,
) -> Settings:
    return Settings(
        database_url=SecretStr(database_url) if database_url else None,
        embedder=EmbedderSettings(
            api_key=SecretStr(api_key) if api_key is not None else None,
            space_api_keys={"large": SecretStr(space_key)} if space_key else {},
        ),
        sources=SourceSettings(
            s3_access_key_id=s3[0] if s3 else None, s3_secret_access_key=SecretStr(s3[1]) if s3 else None
        ),
        limits=LimitSettings(redis_url=SecretStr(redis_url) if redis_url else None),
    )


def _provider(key: str) -> Settings:
    return Settings(
        llms=LlmSettings(providers=[ProviderSettings(name="near", kind="openai", models=["m"], api_key=SecretStr(key))])
    )


@pytest.mark.parametrize(
    ("settings", "environment", "variable", "reason"),
    [
        (_settings("postgresql://app:postgres@db/x"), {}, "GROUNDWORK_DATABASE_URL", "default"),
        (_settings("postgresql://app:ChangeMe@db/x"), {}, "GROUNDWORK_DATABASE_URL", "default"),
        (_settings("postgresql://db/x?user=app&password=minioadmin"), {}, "GROUNDWORK_DATABASE_URL", "default"),
        (_settings("postgresql://application:application@db/x"), {}, "GROUNDWORK_DATABASE_URL", "user name"),
        (_settings("postgresql://app:h%405k@db/x"), {}, "GROUNDWORK_DATABASE_URL", "fewer than 8"),
        (_settings("postgresql://app:1111111122@db/x"), {}, "GROUNDWORK_DATABASE_URL", "repeats"),
        (_settings("postgresql://app@db/x"), {"PGPASSWORD": "secret"}, "PGPASSWORD", "default"),
        (_settings(api_key="sk-1234"), {}, "GROUNDWORK_EMBEDDER__API_KEY", "fewer than 8"),
        (_settings(api_key="your-api-key"), {}, "GROUNDWORK_EMBEDDER__API_KEY", "default"),
        (_settings(space_key="short"), {}, "GROUNDWORK_EMBEDDER__SPACE_API_KEYS__LARGE", "fewer than 8"),
        (_settings(s3=("minio", "minioadmin")), {}, "GROUNDWORK_SOURCES__S3_SECRET_ACCESS_KEY", "default"),
        (_settings(s3=("backupuser", "backupuser")), {}, "GROUNDWORK_SOURCES__S3_SECRET_ACCESS_KEY", "user name"),
        (_settings(redis_url="redis://:foobared@cache:6379/0"), {}, "GROUNDWORK_LIMITS__REDIS_URL", "default"),
        (_settings(redis_url="redis://limiter:limiter@cache"), {}, "GROUNDWORK_LIMITS__REDIS_URL", "user name"),
        (_provider("sk-1234"), {}, "GROUNDWORK_LLMS__PROVIDERS, the key of near", "fewer than 8"),
        (
            Settings(reranker=RerankerSettings(api_key=SecretStr("changeme"))),
            {},
            "GROUNDWORK_RERANKER__API_KEY",
            "default",
        ),
        (
            Settings(cache=CacheSettings(redis_url=SecretStr("redis://:redis@cache"))),
            {},
            "GROUNDWORK_CACHE__REDIS_URL",
            "default",
        ),
        (_settings(), {"ADMIN_PASSWORD": "admin"}, "ADMIN_PASSWORD", "default"),
    ],
)
def test_a_weak_secret_is_refused(settings: Settings, environment: dict[str, str], variable: str, reason: str) -> None:
    with pytest.raises(Refused) as raised:
        refuse_weak_secrets(settings, environment, "GROUNDWORK_ENVIRONMENT is production")
    lines = raised.value.message.splitlines()
    assert lines[0].endswith("GROUNDWORK_ENVIRONMENT is production:")
    assert len(lines) == 3
    assert lines[1].startswith(f"  {variable}: ")
    assert reason in lines[1]


def test_all_of_them_are_named_at_once_and_none_is_shown() -> None:
    weak = _settings(
        "postgresql://app:hunter2@db/x", "hunter2", s3=("x", "hunter2"), redis_url="redis://:hunter2@cache"
    )
    with pytest.raises(Refused) as raised:
        refuse_weak_secrets(weak, {"ADMIN_PASSWORD": "hunter2"}, "x")
    assert len(raised.value.message.splitlines()) == 7
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize(
    "settings",
    [
        _settings(),
        _provider(_GOOD),
        _settings("postgresql:///groundwork?host=/run/postgresql"),
        _settings("postgresql://postgres@/groundwork?host=%2Frun%2Fpostgresql"),
        _settings(
            f"postgresql://postgres:{_GOOD}@db/postgres", _GOOD, _GOOD, ("minio", _GOOD), f"redis://:{_GOOD}@cache"
        ),
        _settings(api_key="", redis_url="redis://cache:6379"),
        _settings("not a url", redis_url="redis://[cache"),
    ],
)
def test_strong_secrets_and_none_at_all_are_taken(settings: Settings) -> None:
    assert refuse_weak_secrets(settings, {"ADMIN_PASSWORD": _GOOD, "PGPASSWORD": ""}, "x") is None
