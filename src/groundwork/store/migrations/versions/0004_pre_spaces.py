"""Embedding spaces with a name, a configuration and a state, so that several can stand side by side."""

from alembic import op

revision = "0004"
down_revision = "0003"

# The release before this one inserts a live space without a name: hence the default.
CHANGES = """
ALTER TABLE embedding_spaces
    ADD COLUMN name text NOT NULL DEFAULT gen_random_uuid()::text,
    ADD COLUMN config jsonb,
    ADD COLUMN state text NOT NULL DEFAULT 'ready' CHECK (state IN ('building', 'ready', 'retired', 'dropping')),
    ADD COLUMN live_until timestamptz,
    DROP CONSTRAINT embedding_spaces_model_revision_dimension_key;
UPDATE embedding_spaces
SET name = left(regexp_replace(model, '[^A-Za-z0-9._-]+', '-', 'g'), 50) || CASE WHEN live THEN '' ELSE '-' || id END;
ALTER TABLE embedding_spaces ADD UNIQUE (name);
COMMENT ON COLUMN embedding_spaces.config IS 'How its embedder is reached, never with a key; null until a start fills it in.';
COMMENT ON COLUMN embedding_spaces.state IS 'What it is while it is not live. Ready: it was complete once; retired: it was live.';
COMMENT ON COLUMN embedding_spaces.live_until IS 'When searches were last told to use another space.';
"""


def upgrade() -> None:
    op.execute(CHANGES)
