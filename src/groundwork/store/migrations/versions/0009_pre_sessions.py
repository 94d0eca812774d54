"""Conversations, and collections whose passages go to private models only."""

from alembic import op

revision = "0009"
down_revision = "0008"

CHANGES = """
ALTER TABLE collections ADD COLUMN private boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN collections.private IS 'Its passages go to language models of tier 0 only.';

CREATE TABLE sessions (
    id                uuid PRIMARY KEY,
    owner             text NOT NULL,
    user_id           uuid REFERENCES users ON DELETE CASCADE,
    title             text NOT NULL,
    title_collections uuid[] NOT NULL DEFAULT '{}',
    turn_count        integer NOT NULL DEFAULT 0,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_by_owner ON sessions (owner, updated_at DESC, id DESC);
CREATE INDEX sessions_by_user ON sessions (user_id);
COMMENT ON COLUMN sessions.owner IS 'Who began it, as limits and budgets call them: a user''s name, or key:NAME.';
COMMENT ON COLUMN sessions.user_id IS 'The owner, when that is a user; it goes with them, and a later namesake is somebody else.';
COMMENT ON COLUMN sessions.title_collections IS 'While the title is the first question: what its answer was made from.';
COMMENT ON COLUMN sessions.turn_count IS 'The number of the last turn.';
COMMENT ON COLUMN sessions.updated_at IS 'When it was asked something last, or begun.';

CREATE TABLE session_turns (
    session_id  uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    number      integer NOT NULL,
    at          timestamptz NOT NULL,
    question    text NOT NULL,
    answer      jsonb NOT NULL,
    collections uuid[] NOT NULL,
    PRIMARY KEY (session_id, number)
);
COMMENT ON COLUMN session_turns.answer IS 'The body as it was given: text, mode, citations, usage.';
COMMENT ON COLUMN session_turns.collections IS 'Whose passages it was made from; it is shown to who may read them all.';
"""


def upgrade() -> None:
    op.execute(CHANGES)
