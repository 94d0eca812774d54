"""Brings the schema to what this version of the application needs: one process at a time, and fails closed."""

from pathlib import Path

import psycopg

from groundwork.errors import Conflict, GroundworkError, StoreUnavailable

HEAD = "0010"
"""The newest migration; a test compares it with the migrations folder, so that a start need not import Alembic."""

_LOCK = 0x67726E64  # any constant, the same for every Groundwork process


def migrate(url: str) -> bool:
    """Applies the migrations missing at `url`, waiting for another process that is at it. True if any were.

    Raises Conflict when the schema is newer than this version knows, StoreUnavailable when the database does not answer.
    """
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            if _current(connection) == HEAD:
                return False
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            current = _current(connection)
            if current == HEAD:
                return False
            _refuse_unknown(current)
            _upgrade(url)
            return True
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"The database does not answer: {error}. Check that it runs and its URL.") from error


def current_version(url: str) -> str | None:
    """The migration the database at `url` stands at; None for an empty one."""
    with psycopg.connect(url, autocommit=True) as connection:
        return _current(connection)


def known_versions() -> list[str]:
    """The migrations this version of the application carries, oldest first."""
    return sorted(path.name.split("_")[0] for path in _versions().glob("[0-9]*.py"))


def _versions() -> Path:
    return Path(__file__).parent / "migrations" / "versions"


def _current(connection: psycopg.Connection) -> str | None:
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


def _refuse_unknown(current: str | None) -> None:
    if current is not None and current not in known_versions():
        raise Conflict(
            f"The database has schema {current}, newer than the {HEAD} this version of Groundwork knows. "
            "Start the newer version, or restore a backup made before the upgrade."
        )


def _upgrade(url: str) -> None:
    import sqlalchemy  # start-up time: only a start that migrates needs it
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(_versions().parent))
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sqlalchemy.NullPool
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except DBAPIError as error:
            raise GroundworkError(
                f"The schema could not be brought up to date: {error.orig}. Nothing was changed; if pgvector is missing, "
                "install the extension `vector` on the server."
            ) from error
