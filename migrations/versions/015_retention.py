"""Since when everything that was landed is kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "015_retention"
down_revision = "014_page_contents"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "retention",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("kept_since", MOMENT, nullable=False),
        sa.Column("removed", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("removed_at", MOMENT),
    )


def downgrade() -> None:
    op.drop_table("retention")
