"""Calls, as they were before there were providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "001_calls"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("status", sa.Text),
        sa.Column("direction", sa.Text),
        sa.Column("tracking_number", sa.Text),
        sa.Column("caller_number", sa.Text),
        sa.Column("destination_number", sa.Text),
        sa.Column("primary_phone", sa.Text),
        sa.Column("campaign_id", sa.Text),
        sa.Column("campaign_name", sa.Text),
        sa.Column("agent_id", sa.Text),
        sa.Column("disposition", sa.Text),
        sa.Column("started_at", MOMENT),
        sa.Column("answered_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("duration_seconds", sa.Integer),
        sa.Column("recording_url", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    op.drop_table("calls")
