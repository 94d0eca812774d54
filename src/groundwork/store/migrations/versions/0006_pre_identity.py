"""Who may do what: people, keys, signing secrets, failed logins, the audit log, and maintenance mode."""

from alembic import op

revision = "0006"
down_revision = "0005"

CHANGES = """
CREATE TABLE users (
    id            uuid PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    role          text NOT NULL CHECK (role IN ('admin', 'reviewer', 'member')),
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    password_hash text,
    generation    integer NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz
);
COMMENT ON COLUMN users.password_hash IS 'Argon2id; null: no password, so no login with one.';
COMMENT ON COLUMN users.generation IS 'Grows with every change of password, role or status; tokens of an older one are void.';

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    prefix       text NOT NULL,
    digest       bytea NOT NULL UNIQUE,
    user_id      uuid REFERENCES users ON DELETE CASCADE,
    scopes       text[] NOT NULL,
    collections  text[],
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
COMMENT ON COLUMN api_keys.digest IS 'SHA-256 of the key, which is random and long enough not to be guessed.';
COMMENT ON COLUMN api_keys.user_id IS 'Whose rights it has; null: a program''s own.';
COMMENT ON COLUMN api_keys.collections IS 'The only collections it reaches; null: all its owner reaches.';

CREATE TABLE signing_secrets (
    id         text PRIMARY KEY,
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    retires_at timestamptz
);
COMMENT ON COLUMN signing_secrets.retires_at IS 'When tokens signed with it stop being accepted; null: it signs.';

CREATE TABLE revoked_tokens (
    id         uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE TABLE login_failures (
    kind          text NOT NULL CHECK (kind IN ('account', 'address')),
    name          text NOT NULL,
    failures      integer NOT NULL,
    last_at       timestamptz NOT NULL,
    blocked_until timestamptz,
    PRIMARY KEY (kind, name)
);
COMMENT ON TABLE login_failures IS 'Failures in a row, for accounts that exist and for names that do not alike.';

CREATE TABLE audit_log (
    id       bigint PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text NOT NULL,
    action   text NOT NULL,
    subject  text NOT NULL,
    address  text NOT NULL,
    details  jsonb NOT NULL,
    previous bytea NOT NULL,
    hash     bytea NOT NULL
);
CREATE INDEX audit_log_by_time ON audit_log (at);
COMMENT ON TABLE audit_log IS 'Append-only; each row holds the hash of the one before it and of itself.';
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

CREATE TABLE maintenance (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    since    timestamptz NOT NULL DEFAULT now(),
    reason   text NOT NULL,
    actor    text NOT NULL
);
COMMENT ON TABLE maintenance IS 'Its row exists while maintenance mode is on.';
"""


def upgrade() -> None:
    op.execute(CHANGES)
