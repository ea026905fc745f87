"""What call centres tell: agent, lead, queue, language, tags, talk and wrap time, and the rest as metadata."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "006_convoso_enhancements"
down_revision = "005_rejects_and_changes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in _call_columns():
        op.add_column("calls", column)
    op.create_index(
        "ix_calls_agent_name_started",
        "calls",
        ["agent_name", sa.text("started_at DESC")],
        postgresql_where=sa.text("agent_name IS NOT NULL"),
    )
    op.create_index("ix_calls_lead_id", "calls", ["lead_id"], postgresql_where=sa.text("lead_id IS NOT NULL"))
    op.create_index(
        "ix_calls_tags", "calls", ["tags"], postgresql_using="gin", postgresql_where=sa.text("tags IS NOT NULL")
    )


def downgrade() -> None:
    for column in _call_columns():
        op.drop_column("calls", column.name)


def _call_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("agent_name", sa.Text),
        sa.Column("agent_email", sa.Text),
        sa.Column("lead_id", sa.Text),
        sa.Column("talk_seconds", sa.Integer),
        sa.Column("wrap_seconds", sa.Integer),
        sa.Column("queue", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("tags", ARRAY(sa.Text)),
        sa.Column("metadata", JSONB),
    ]
