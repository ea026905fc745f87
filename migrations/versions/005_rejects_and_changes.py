"""What could not be used, what changed, and who was turned away at the door."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "005_rejects_and_changes"
down_revision = "004_sync_ledger"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "rejected_records",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("account_id", sa.Uuid, sa.ForeignKey("provider_configs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("mapper_version", sa.Integer, nullable=False),
        sa.Column("page_id", sa.BigInteger),
        sa.Column("delivery_id", sa.BigInteger),
        sa.Column("repeats", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("last_seen_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("resolved_at", MOMENT),
        sa.UniqueConstraint("account_id", "digest"),
    )
    op.create_table(
        "call_events",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("call_id", sa.Uuid, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("changed", ARRAY(sa.Text)),
        sa.Column("page_id", sa.BigInteger),
        sa.Column("delivery_id", sa.BigInteger),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.create_index("ix_call_events_call_id", "call_events", ["call_id"])
    op.create_table(
        "webhook_refusals",
        sa.Column("hour", MOMENT, primary_key=True),
        sa.Column("door", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        sa.Column("refusals", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )


def downgrade() -> None:
    op.drop_table("webhook_refusals")
    op.drop_table("call_events")
    op.drop_table("rejected_records")
