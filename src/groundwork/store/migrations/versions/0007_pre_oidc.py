"""Which person of a sign-in provider an account belongs to."""

from alembic import op

revision = "0007"
down_revision = "0006"

CHANGES = """
CREATE TABLE user_identities (
    issuer     text NOT NULL,
    subject    text NOT NULL,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject),
    UNIQUE (user_id, issuer)
);
COMMENT ON COLUMN user_identities.subject IS 'Who they are to the provider, which never changes; names and addresses may.';
"""


def upgrade() -> None:
    op.execute(CHANGES)
