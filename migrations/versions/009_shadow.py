"""Calls as they would be: what an account in shadow mode, a candidate mapper or a remap makes of what was landed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "009_shadow"
down_revision = "008_completeness_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("provider_configs", sa.Column("mode", sa.Text, nullable=False, server_default=sa.text("'live'")))
    op.add_column("provider_configs", sa.Column("shadow_mapper", sa.Text))
    op.create_table("shadow_calls", *_columns_of_calls())
    op.create_primary_key("pk_shadow_calls", "shadow_calls", ["id"])
    op.create_unique_constraint("uq_shadow_calls_account_id_external_id", "shadow_calls", ["account_id", "external_id"])
    op.create_foreign_key(
        "fk_shadow_calls_account_id", "shadow_calls", "provider_configs", ["account_id"], ["id"], ondelete="CASCADE"
    )


def downgrade() -> None:
    op.drop_table("shadow_calls")
    op.drop_column("provider_configs", "shadow_mapper")
    op.drop_column("provider_configs", "mode")


def _columns_of_calls() -> list[sa.Column[object]]:
    found = sa.inspect(op.get_bind()).get_columns("calls")
    return [
        sa.Column(
            column["name"],
            column["type"],
            nullable=column["nullable"],
            server_default=sa.text(column["default"]) if column["default"] else None,
        )
        for column in found
    ]
