"""What paid models may cost and did cost: limits, sums by period, money reserved for requests under way, the ledger."""

from alembic import op

revision = "0008"
down_revision = "0007"

CHANGES = """
CREATE TABLE budget_limits (
    account    text NOT NULL,
    period     text NOT NULL CHECK (period IN ('daily', 'weekly', 'monthly')),
    limit_usd  numeric(18, 6) CHECK (limit_usd >= 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL,
    PRIMARY KEY (account, period)
);
COMMENT ON COLUMN budget_limits.limit_usd IS 'Null: no limit, whatever the settings say.';

CREATE TABLE budget_periods (
    account      text NOT NULL,
    period       text NOT NULL CHECK (period IN ('daily', 'weekly', 'monthly')),
    begins       date NOT NULL,
    spent_usd    numeric(18, 6) NOT NULL DEFAULT 0 CHECK (spent_usd >= 0),
    reserved_usd numeric(18, 6) NOT NULL DEFAULT 0 CHECK (reserved_usd >= 0),
    PRIMARY KEY (account, period, begins)
) WITH (fillfactor = 50);
CREATE INDEX budget_periods_by_time ON budget_periods (period, begins);
COMMENT ON TABLE budget_periods IS 'Sums of the ledger and of open reservations. No index holds a sum: changes stay in the page.';

CREATE TABLE budget_reservations (
    id           uuid PRIMARY KEY,
    account      text NOT NULL,
    at           timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    amount_usd   numeric(18, 6) NOT NULL CHECK (amount_usd >= 0),
    provider     text NOT NULL,
    model        text NOT NULL,
    purpose      text NOT NULL,
    input_tokens integer NOT NULL
);
CREATE INDEX budget_reservations_by_end ON budget_reservations (expires_at);
COMMENT ON TABLE budget_reservations IS 'Requests to paid models that are under way, or whose process died.';

CREATE TABLE ledger (
    id            uuid NOT NULL,
    at            timestamptz NOT NULL,
    account       text NOT NULL,
    provider      text NOT NULL,
    model         text NOT NULL,
    purpose       text NOT NULL,
    outcome       text NOT NULL,
    input_tokens  integer NOT NULL,
    output_tokens integer NOT NULL,
    cost_usd      numeric(18, 6) NOT NULL CHECK (cost_usd >= 0),
    estimated     boolean NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX ledger_by_account ON ledger (account, at);
COMMENT ON COLUMN ledger.at IS 'When the money was reserved: the periods it counts in.';
COMMENT ON COLUMN ledger.estimated IS 'The provider did not say how many tokens it took.';
CREATE TABLE ledger_rest PARTITION OF ledger DEFAULT;
COMMENT ON TABLE ledger_rest IS 'Months that have no partition of their own; stays empty as long as months are made ahead.';
"""


def upgrade() -> None:
    op.execute(CHANGES)
