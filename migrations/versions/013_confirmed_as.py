"""As which record a page confirmed each of its calls, beside their ids."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "013_confirmed_as"
down_revision = "012_excluded"
branch_labels = None
depends_on = None

# What the rows hold now is what was taken to be confirmed before.
_FILL = """
UPDATE sync_pages SET confirmed_as = ARRAY(
    SELECT coalesce(substring(call.content_digest FOR 16), '')
    FROM unnest(confirmed) WITH ORDINALITY seen(id, place) LEFT JOIN calls call USING (id)
    ORDER BY place
)
WHERE confirmed IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("sync_pages", sa.Column("confirmed_as", ARRAY(sa.LargeBinary)))
    op.execute(_FILL)


def downgrade() -> None:
    op.drop_column("sync_pages", "confirmed_as")
