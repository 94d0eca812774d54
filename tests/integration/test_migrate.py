"""The schema: brought up to date once, whoever comes first, and never run against one it does not know."""

import threading
import uuid

import psycopg
import pytest

from groundwork.errors import Conflict, StoreUnavailable
from groundwork.store import migrate
from groundwork.store.embedded import EmbeddedServer


@pytest.fixture
def empty_url(embedded_server: EmbeddedServer, database_admin: psycopg.Connection) -> str:
    name = f"empty_{uuid.uuid4().hex[:12]}"
    database_admin.execute(f"CREATE DATABASE {name}")
    return embedded_server.url_of(name)


def test_the_newest_migration_is_the_one_the_code_names() -> None:
    assert migrate.known_versions()[-1] == migrate.HEAD


def test_processes_that_start_at_once_migrate_once(empty_url: str) -> None:
    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda: outcomes.append(migrate.migrate(empty_url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True]
    assert migrate.current_version(empty_url) == migrate.HEAD


def test_a_schema_from_the_future_is_refused_untouched(empty_url: str) -> None:
    migrate.migrate(empty_url)
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match="newer"):
        migrate.migrate(empty_url)
    assert migrate.current_version(empty_url) == "9999"


def test_a_migration_that_fails_changes_nothing(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE chunks (in_the_way int)")
    with pytest.raises(Exception, match="Nothing was changed"):
        migrate.migrate(empty_url)
    with psycopg.connect(empty_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("chunks",)]


def test_a_database_that_is_not_there_is_said_plainly() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        migrate.migrate("postgresql://127.0.0.1:1/nothing")
