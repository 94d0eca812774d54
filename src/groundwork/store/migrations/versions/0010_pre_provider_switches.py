"""Circuit breakers that an operator holds open or closed."""

from alembic import op

revision = "0010"
down_revision = "0009"

CHANGES = """
CREATE TABLE provider_switches (
    provider text PRIMARY KEY,
    position text NOT NULL CHECK (position IN ('open', 'closed')),
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text NOT NULL
);
COMMENT ON TABLE provider_switches IS 'Without a row, the breaker of a provider decides for itself.';
"""


def upgrade() -> None:
    op.execute(CHANGES)
