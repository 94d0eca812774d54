"""Tags and metadata of documents, since when a version is live, and whether a stored text is Markdown."""

from alembic import op

revision = "0003"
down_revision = "0002"

CHANGES = """
ALTER TABLE documents ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN live_since timestamptz NOT NULL DEFAULT now();
UPDATE documents SET live_since = updated_at;
CREATE INDEX documents_by_tag ON documents USING gin (tags);
CREATE INDEX documents_by_live_since ON documents (live_since);
COMMENT ON COLUMN documents.live_since IS 'When the text that is searched was taken in: the date that searches filter by.';

ALTER TABLE document_versions ADD COLUMN markdown boolean NOT NULL DEFAULT false;
UPDATE document_versions v SET markdown = true
WHERE v.media_type = 'text/markdown'
   OR EXISTS (SELECT FROM chunks c WHERE c.version_id = v.id AND cardinality(c.heading_path) > 0);
COMMENT ON COLUMN document_versions.markdown IS 'Whether the text is Markdown: it is split at its headings.';
"""


def upgrade() -> None:
    op.execute(CHANGES)
