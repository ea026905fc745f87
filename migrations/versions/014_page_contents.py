"""What a page held, so that the same page again can be told to hold nothing new."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "014_page_contents"
down_revision = "013_confirmed_as"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sync_pages", sa.Column("held", sa.LargeBinary))
    op.add_column("sync_pages", sa.Column("mapper_version", sa.Integer))
    op.create_index(
        "ix_sync_pages_account_body", "sync_pages", ["account_id", "body_digest"], postgresql_where="held IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_index("ix_sync_pages_account_body", "sync_pages")
    for column in ("held", "mapper_version"):
        op.drop_column("sync_pages", column)
