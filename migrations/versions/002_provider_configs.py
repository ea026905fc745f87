"""Accounts at providers, their credentials encrypted from the first row on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "002_provider_configs"
down_revision = "001_calls"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "provider_configs",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
        sa.Column("provider_type", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False, server_default=sa.text("'default'")),
        sa.Column("api_url", sa.Text, nullable=False),
        sa.Column("credentials", sa.Text, nullable=False),
        sa.Column("settings", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("features", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("rate_limits", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("full_sync_at", sa.Time, nullable=False, server_default=sa.text("'02:00'")),
        sa.Column("incremental_every", sa.Interval, nullable=False, server_default=sa.text("'15 minutes'")),
        sa.Column("next_full_at", MOMENT),
        sa.Column("next_incremental_at", MOMENT),
        sa.Column("blocked_until", MOMENT),
        sa.Column("health", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("provider_type", "name"),
    )


def downgrade() -> None:
    op.drop_table("provider_configs")
