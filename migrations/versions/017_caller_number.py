"""The calls of a number, found at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "017_caller_number"
down_revision = "016_partitions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_calls_caller_number_started",
        "calls",
        ["caller_number", sa.text("started_at DESC")],
        postgresql_where=sa.text("caller_number IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_calls_caller_number_started", "calls")
