"""Calls come from providers: whose a call is, what the provider said of it, its deliveries, numbers and sync status.

Nothing wrote to `calls` before this step, so the columns that every call must have need no default.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "003_call_tracking_providers"
down_revision = "002_provider_configs"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
MONEY = sa.Numeric(18, 6)


def upgrade() -> None:
    _widen_calls()
    _create_webhook_logs()
    _create_sync_status()
    _create_tracking_numbers()


def downgrade() -> None:
    op.drop_table("provider_tracking_numbers")
    op.drop_table("sync_status")
    op.drop_table("webhook_logs")
    for column in _call_columns():
        op.drop_column("calls", column.name)


def _widen_calls() -> None:
    for column in _call_columns():
        op.add_column("calls", column)
    op.create_unique_constraint("uq_calls_account_id_external_id", "calls", ["account_id", "external_id"])
    op.create_index("ix_calls_account_started", "calls", ["account_id", sa.text("started_at DESC")])


def _call_columns() -> list[sa.Column[object]]:
    return [
        _account(),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("publisher_id", sa.Text),
        sa.Column("publisher", sa.Text),
        sa.Column("buyer_id", sa.Text),
        sa.Column("buyer", sa.Text),
        sa.Column("ring_seconds", sa.Integer),
        sa.Column("hold_seconds", sa.Integer),
        sa.Column("revenue", MONEY),
        sa.Column("payout", MONEY),
        sa.Column("cost", MONEY),
        sa.Column("converted", sa.Boolean),
        sa.Column("duplicate", sa.Boolean),
        sa.Column("provider_data", JSONB),
        sa.Column("provider_updated_at", MOMENT),
        sa.Column("observations", JSONB, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("content_digest", sa.LargeBinary),
        sa.Column("last_synced_at", MOMENT, nullable=False, server_default=sa.func.now()),
    ]


def _create_webhook_logs() -> None:
    op.create_table(
        "webhook_logs",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _account(),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("event_type", sa.Text),
        sa.Column("headers", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("content_type", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("query", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.Text),
        sa.Column("verified", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'received'")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("dedup_key", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("repeats", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("call_id", sa.Uuid),
        sa.Column("received_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("processed_at", MOMENT),
    )
    op.create_index(
        "ix_webhook_logs_waiting",
        "webhook_logs",
        ["provider", "next_attempt_at"],
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_index("ix_webhook_logs_account_received", "webhook_logs", ["account_id", "received_at"])


def _create_sync_status() -> None:
    op.create_table(
        "sync_status",
        sa.Column("account_id", sa.Uuid, sa.ForeignKey("provider_configs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("records_synced", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("last_sync_at", MOMENT),
        sa.Column("last_successful_sync_at", MOMENT),
        sa.Column("last_full_sync_at", MOMENT),
        sa.Column("synced_until", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=sa.func.now()),
    )


def _create_tracking_numbers() -> None:
    op.create_table(
        "provider_tracking_numbers",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _account(),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("campaign_id", sa.Text),
        sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("provider_data", JSONB),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("account_id", "external_id"),
    )


def _account() -> sa.Column[object]:
    return sa.Column("account_id", sa.Uuid, sa.ForeignKey("provider_configs.id", ondelete="CASCADE"), nullable=False)
