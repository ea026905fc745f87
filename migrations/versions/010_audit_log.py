"""The audit log: append-only, which Postgres itself sees to, and each row sealed with the one before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "010_audit_log"
down_revision = "009_shadow"
branch_labels = None
depends_on = None


#: Told apart by the table: rows of the log stay as they are; the note of the newest one may only move on.
REFUSE = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'audit_head' THEN
        IF NEW.one AND NEW.id >= OLD.id THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'The audit log is append-only: % of % is refused.', TG_OP, TG_TABLE_NAME;
END $$
"""
TRIGGERS = """
CREATE TRIGGER {table}_rows BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER {table}_all BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
"""


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("details", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("one", sa.Boolean, primary_key=True),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.execute(REFUSE)
    for table in ("audit_log", "audit_head"):
        op.execute(TRIGGERS.format(table=table))


def downgrade() -> None:
    op.drop_table("audit_head")
    op.drop_table("audit_log")
    op.execute("DROP FUNCTION refuse_audit_change")
