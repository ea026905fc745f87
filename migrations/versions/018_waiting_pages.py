"""A run's next page that waits to be stored, found at once: the first that was fetched, however many wait behind it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "018_waiting_pages"
down_revision = "017_caller_number"
branch_labels = None
depends_on = None

NAME = "ix_sync_pages_run_unstored"


def upgrade() -> None:
    _index("run_id", "fetched_at")


def downgrade() -> None:
    _index("run_id")


def _index(*columns: str) -> None:
    op.drop_index(NAME, "sync_pages")
    op.create_index(NAME, "sync_pages", list(columns), postgresql_where=sa.text("state <> 'stored'"))
