"""How often in a row a job was set back, so that one that gets on is never given up."""

from alembic import op

revision = "0005"
down_revision = "0004"

CHANGES = """
ALTER TABLE jobs ADD COLUMN setbacks integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN jobs.setbacks IS 'Attempts in a row that ended too early without having got on; any progress begins anew.';
"""


def upgrade() -> None:
    op.execute(CHANGES)
