"""How many records of a page, and of a run, an account's rules left out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "012_excluded"
down_revision = "011_shadow_since"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("sync_runs", "sync_pages"):
        op.add_column(table, sa.Column("excluded", sa.BigInteger, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    for table in ("sync_runs", "sync_pages"):
        op.drop_column(table, "excluded")
