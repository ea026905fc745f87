"""Since when an account has a shadow: what was landed before then it knows nothing of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "011_shadow_since"
down_revision = "010_audit_log"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("provider_configs", sa.Column("shadow_since", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("provider_configs", "shadow_since")
