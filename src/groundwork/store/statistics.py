"""The planner's statistics: brought up to date after a load, since autovacuum comes a minute later at best.

Without them the planner takes a table just filled for an empty one, and passes the vector index by.
"""

from psycopg import sql

from groundwork.store.database import Database

_STALE = """
SELECT c.relname FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relname IN ('chunks', 'chunk_embeddings', 'documents', 'document_versions')
  AND ((s.last_analyze IS NULL AND s.last_autoanalyze IS NULL) OR s.n_mod_since_analyze > 200 + 0.2 * greatest(c.reltuples, 0))
ORDER BY c.relname
"""


async def refresh(database: Database) -> list[str]:
    """Analyses the tables that have changed by a fifth since the last time; which those were."""
    stale = [row[0] for row in await database.fetch(_STALE)]
    for table in stale:
        async with database.connection() as connection:
            await connection.execute(sql.SQL("ANALYZE (SKIP_LOCKED) {}").format(sql.Identifier(table)))
    return stale
