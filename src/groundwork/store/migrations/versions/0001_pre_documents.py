"""Collections, sources, documents with their versions, chunks, embeddings and the feed of changes."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE installation (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    epoch      integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation DEFAULT VALUES;
COMMENT ON COLUMN installation.epoch IS 'Grows with every restore, after which derived indexes must not trust their place.';

CREATE TABLE collections (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT '',
    generation  bigint NOT NULL DEFAULT 0,
    readable_by_everyone boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE collection_readers (
    collection_id uuid NOT NULL REFERENCES collections ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('role', 'user')),
    name          text NOT NULL,
    PRIMARY KEY (collection_id, kind, name)
);
COMMENT ON COLUMN collections.generation IS 'Grows with every visible change; keys the answer cache.';

CREATE TABLE sources (
    id             uuid PRIMARY KEY,
    collection_id  uuid NOT NULL REFERENCES collections ON DELETE CASCADE,
    name           text NOT NULL,
    kind           text NOT NULL,
    location       text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    last_synced_at timestamptz,
    UNIQUE (collection_id, name)
);

CREATE TABLE documents (
    id            uuid PRIMARY KEY,
    collection_id uuid NOT NULL REFERENCES collections ON DELETE CASCADE,
    source_id     uuid REFERENCES sources ON DELETE CASCADE,
    uri           text NOT NULL,
    title         text NOT NULL DEFAULT '',
    media_type    text NOT NULL DEFAULT 'application/octet-stream',
    status        text NOT NULL CHECK (status IN ('pending', 'ready', 'failed')),
    content_hash  bytea,
    live_version  uuid,
    error         text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (collection_id, uri)
);
CREATE INDEX documents_by_source ON documents (source_id);
CREATE INDEX documents_pending ON documents (created_at) WHERE status = 'pending';
COMMENT ON COLUMN documents.content_hash IS 'SHA-256 of the original bytes; an unchanged document is skipped by it.';
COMMENT ON COLUMN documents.error IS 'Why the newest content could not be taken; a former version may still be live.';

CREATE TABLE document_versions (
    id          uuid PRIMARY KEY,
    document_id uuid NOT NULL REFERENCES documents ON DELETE CASCADE,
    sha256      bytea NOT NULL,
    text        text NOT NULL,
    title       text NOT NULL,
    media_type  text NOT NULL,
    language    text,
    pages       integer[] NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (document_id, sha256)
);
COMMENT ON COLUMN document_versions.sha256 IS 'SHA-256 of the text in UTF-8: what a citation names as the version.';
COMMENT ON COLUMN document_versions.language IS 'ISO 639-1; null when it is not known.';
COMMENT ON COLUMN document_versions.pages IS 'Character offset at which each page starts; empty without pages.';
ALTER TABLE documents ADD FOREIGN KEY (live_version) REFERENCES document_versions DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX documents_by_live_version ON documents (live_version);

CREATE TABLE chunks (
    id            uuid PRIMARY KEY,
    version_id    uuid NOT NULL REFERENCES document_versions ON DELETE CASCADE,
    document_id   uuid NOT NULL REFERENCES documents ON DELETE CASCADE,
    collection_id uuid NOT NULL,
    ordinal       integer NOT NULL,
    start_char    integer NOT NULL,
    end_char      integer NOT NULL,
    page          integer,
    heading_path  text[] NOT NULL DEFAULT '{}',
    text          text NOT NULL,
    embed_hash    bytea NOT NULL,
    UNIQUE (document_id, ordinal),
    CHECK (start_char >= 0 AND end_char > start_char)
);
CREATE INDEX chunks_by_version ON chunks (version_id);
CREATE INDEX chunks_by_embed_hash ON chunks USING hash (embed_hash);
COMMENT ON TABLE chunks IS 'Chunks of live versions only; a former version keeps its text, not its chunks.';
COMMENT ON COLUMN chunks.embed_hash IS 'SHA-256 of what was embedded: title, headings and text. Equal hash, equal vector.';

CREATE TABLE embedding_spaces (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text NOT NULL,
    revision   text NOT NULL,
    dimension  integer NOT NULL,
    live       boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (model, revision, dimension)
);
CREATE UNIQUE INDEX one_live_space ON embedding_spaces (live) WHERE live;

CREATE TABLE chunk_embeddings (
    chunk_id      uuid NOT NULL REFERENCES chunks ON DELETE CASCADE,
    space_id      integer NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    collection_id uuid NOT NULL,
    document_id   uuid NOT NULL,
    embedding     halfvec NOT NULL,
    PRIMARY KEY (chunk_id, space_id)
);
CREATE INDEX chunk_embeddings_by_collection ON chunk_embeddings (collection_id, space_id);
ALTER TABLE chunk_embeddings ALTER COLUMN embedding SET STORAGE PLAIN;
ALTER TABLE chunk_embeddings ALTER COLUMN embedding SET STATISTICS 0;  -- no planner asks for them, and they cost seconds

CREATE TABLE changes (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    xid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    collection_id uuid NOT NULL,
    document_id   uuid NOT NULL,
    PRIMARY KEY (xid, id)
);
COMMENT ON TABLE changes IS 'Which documents changed visibly, in the order of transactions; derived indexes follow it.';
"""


def upgrade() -> None:
    op.execute(TABLES)
