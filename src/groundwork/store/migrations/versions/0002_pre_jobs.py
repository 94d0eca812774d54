"""Durable jobs on Procrastinate's queue, sources with a configuration and a schedule, and checkpoints of embedding."""

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE jobs (
    id          uuid PRIMARY KEY,
    queue_id    bigint UNIQUE,
    kind        text NOT NULL,
    title       text NOT NULL,
    arguments   jsonb NOT NULL DEFAULT '{}',
    progress    jsonb NOT NULL DEFAULT '{}',
    result      jsonb,
    error       text,
    error_kind  text,
    runner      integer,
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz
);
COMMENT ON TABLE jobs IS 'What people see of a job; the queue itself is Procrastinate''s, under queue_id.';
COMMENT ON COLUMN jobs.runner IS 'Who runs it: the key of an advisory lock its process holds for as long as it lives.';

ALTER TABLE sources ADD COLUMN config jsonb NOT NULL DEFAULT '{}';
ALTER TABLE sources ADD COLUMN schedule text;
ALTER TABLE sources ADD COLUMN next_sync_at timestamptz;
COMMENT ON COLUMN sources.schedule IS 'A cron expression in UTC; null: only when asked.';

CREATE TABLE embedding_checkpoints (
    space_id   integer NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    embed_hash bytea NOT NULL,
    embedding  halfvec NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (space_id, embed_hash)
);
COMMENT ON TABLE embedding_checkpoints IS 'Vectors computed and not yet published, so that no crash pays for them twice.';
"""


def upgrade() -> None:
    # As the driver's own SQL: the queue's functions hold colons and percent signs that mean something to SQLAlchemy.
    op.get_bind().exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))
    op.execute(TABLES)
