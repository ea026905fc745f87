"""Operations on data, done bit by bit; deliveries that are replayed; who was turned away, by example."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "007_recovery"
down_revision = "006_convoso_enhancements"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        _account(),
        sa.Column("arguments", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'running'")),
        sa.Column("position", JSONB, nullable=False, server_default=sa.text("'{}'")),
        _count("total"),
        _count("done"),
        sa.Column("counts", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        _now("next_attempt_at"),
        _now("created_at"),
        _now("progressed_at"),
        sa.Column("finished_at", MOMENT),
    )
    op.create_index("ix_operations_running", "operations", ["id"], postgresql_where=sa.text("state = 'running'"))
    op.create_index(
        "ix_rejected_records_open",
        "rejected_records",
        ["provider", "mapper_version"],
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.add_column("sync_pages", sa.Column("failing_since", sa.DateTime(timezone=True)))
    op.add_column("webhook_logs", _count("replays"))
    op.add_column("webhook_logs", sa.Column("operation_id", sa.BigInteger))
    op.create_index(
        "ix_webhook_logs_call_id", "webhook_logs", ["call_id"], postgresql_where=sa.text("call_id IS NOT NULL")
    )
    op.create_index(
        "ix_webhook_logs_dead",
        "webhook_logs",
        ["account_id", "id"],
        postgresql_where=sa.text("state IN ('failed', 'rejected')"),
    )
    op.add_column("webhook_refusals", sa.Column("samples", JSONB, nullable=False, server_default=sa.text("'[]'")))
    op.add_column(
        "provider_configs", sa.Column("allowed_ips", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'"))
    )


def downgrade() -> None:
    op.drop_column("provider_configs", "allowed_ips")
    op.drop_column("webhook_refusals", "samples")
    op.drop_index("ix_webhook_logs_dead", "webhook_logs")
    op.drop_index("ix_webhook_logs_call_id", "webhook_logs")
    op.drop_column("webhook_logs", "operation_id")
    op.drop_column("webhook_logs", "replays")
    op.drop_column("sync_pages", "failing_since")
    op.drop_index("ix_rejected_records_open", "rejected_records")
    op.drop_table("operations")


def _account(**options: bool) -> sa.Column[object]:
    """The account that a row belongs to, and goes with."""
    return sa.Column("account_id", sa.Uuid, sa.ForeignKey("provider_configs.id", ondelete="CASCADE"), **options)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=False, server_default=sa.func.now())
