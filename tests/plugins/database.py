"""One embedded PostgreSQL for the whole run, shared by its workers, and a database of its own for each test that asks.

Test databases are copies of a template that `prepare` makes once per run. fsync is off: the run survives killed
processes, not a power cut.
"""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from groundwork.store.embedded import EmbeddedServer
from groundwork.store.layout import Layout, is_held
from plugins.embedded_process import all_gone, keepers, kill, postgres_processes

_RUN_DIR = "GROUNDWORK_TEST_RUN_DIR"
_TEMPLATE = "groundwork_template"
_LOCK = 0x67777470  # any constant, the same in every worker


def prepare(url: str) -> None:
    """Brings the template at `url` to what tests start from: the schema, and nothing in it."""
    from groundwork.store.migrate import migrate  # start-up time: only the worker that makes the template needs it

    migrate(url)


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts the run chooses its directory; workers inherit it.

    Not pytest's own temporary directory: it is closed to other users, and PostgreSQL is one when root runs the tests.
    """
    if not hasattr(config, "workerinput"):
        os.environ[_RUN_DIR] = tempfile.mkdtemp(prefix="groundwork-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the run's directory, once PostgreSQL has stopped (a worker that crashed did not wait for that)."""
    if hasattr(config, "workerinput"):
        return
    layout = Layout.of(Path(os.environ.pop(_RUN_DIR)))
    deadline = time.monotonic() + 10
    while is_held(layout.server_lock) and time.monotonic() < deadline:
        time.sleep(0.05)
    shutil.rmtree(layout.root, ignore_errors=True)


@pytest.fixture(scope="session")
def embedded_server() -> Generator[EmbeddedServer]:
    """The run's PostgreSQL."""
    with EmbeddedServer(Path(os.environ[_RUN_DIR]), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def database_admin(embedded_server: EmbeddedServer) -> Generator[psycopg.Connection]:
    """A connection that may make and drop databases; the template exists."""
    with psycopg.connect(embedded_server.url_of("postgres"), autocommit=True) as admin:
        _ensure_template(admin, embedded_server.url_of(_TEMPLATE + "_unfinished"))
        yield admin


@pytest.fixture
def database_url(embedded_server: EmbeddedServer, database_admin: psycopg.Connection) -> Generator[str]:
    """A migrated, empty database for this test alone."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    database_admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
    yield embedded_server.url_of(name)
    database_admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def second_database_url(embedded_server: EmbeddedServer, database_admin: psycopg.Connection) -> Generator[str]:
    """Another migrated, empty database, for tests of two installations."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    database_admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
    yield embedded_server.url_of(name)
    database_admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _ensure_template(admin: psycopg.Connection, unfinished_url: str) -> None:
    admin.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        found = admin.execute("SELECT FROM pg_database WHERE datname = %s", (_TEMPLATE,)).rowcount
        if not found:
            admin.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE}_unfinished")
            admin.execute(f"CREATE DATABASE {_TEMPLATE}_unfinished")
            prepare(unfinished_url)
            admin.execute(f"ALTER DATABASE {_TEMPLATE}_unfinished RENAME TO {_TEMPLATE}")
    finally:
        admin.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


@pytest.fixture
def data_dir() -> Generator[Path]:
    """An empty directory for a PostgreSQL of the test's own, which must have ended by itself when the test does.

    Its path is short enough for a socket and passable for the server's user.
    """
    directory = Path(tempfile.mkdtemp(prefix="groundwork-own-")).resolve()
    yield directory
    gone = all_gone(directory)
    kill(keepers(directory) | postgres_processes(directory))
    shutil.rmtree(directory, ignore_errors=True)
    assert gone, "a keeper or PostgreSQL was left behind"
