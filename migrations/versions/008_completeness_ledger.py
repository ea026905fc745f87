"""The completeness ledger, how late calls come, how often deliveries arrive, and alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "008_completeness_ledger"
down_revision = "007_recovery"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "provider_configs",
        sa.Column("reconcile_every", sa.Interval, nullable=False, server_default=sa.text("'5 minutes'")),
    )
    op.add_column("provider_configs", sa.Column("next_reconcile_at", MOMENT))
    _create_buckets()
    _create_ids()
    _create_arrivals()
    _create_alerts()


def downgrade() -> None:
    for table in ("alerts", "arrivals", "call_lateness", "ledger_sightings", "ledger_ids", "ledger_buckets"):
        op.drop_table(table)
    op.drop_column("provider_configs", "next_reconcile_at")
    op.drop_column("provider_configs", "reconcile_every")


def _create_buckets() -> None:
    op.create_table(
        "ledger_buckets",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _account(nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        _count("checks"),
        sa.Column("checked_at", MOMENT),
        sa.Column("next_check_at", MOMENT),
        sa.Column("run_id", sa.BigInteger),
        sa.Column("repair", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("reason", sa.Text),
        *(
            _count(name)
            for name in (
                *("reported", "stored", "rejected", "excluded", "pending"),
                *("gone", "mismatched", "unexplained", "repaired"),
            )
        ),
        sa.Column("ids_digest", sa.LargeBinary),
        _now("created_at"),
        sa.UniqueConstraint("account_id", "since", "until"),
    )
    op.create_index(
        "ix_ledger_buckets_due",
        "ledger_buckets",
        ["next_check_at"],
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
    )
    op.create_index(
        "ix_ledger_buckets_run_id", "ledger_buckets", ["run_id"], postgresql_where=sa.text("run_id IS NOT NULL")
    )


def _create_ids() -> None:
    for table, moment in (("ledger_ids", _now("seen_at")), ("ledger_sightings", sa.Column("started_at", MOMENT))):
        op.create_table(
            table,
            sa.Column(
                "bucket_id",
                sa.BigInteger,
                sa.ForeignKey("ledger_buckets.id", ondelete="CASCADE"),
                primary_key=True,
            ),
            sa.Column("external_id", sa.Text, primary_key=True),
            sa.Column("state", sa.Text, nullable=False),
            sa.Column("reason", sa.Text),
            sa.Column("fields", ARRAY(sa.Text)),
            sa.Column("repaired", sa.Boolean, nullable=False, server_default=sa.text("false")),
            moment,
        )


def _create_arrivals() -> None:
    op.create_table(
        "call_lateness",
        _account(primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("seconds", sa.BigInteger, primary_key=True),
        _count("calls"),
    )
    op.create_table(
        "arrivals",
        _account(primary_key=True),
        sa.Column("hour", MOMENT, primary_key=True),
        _count("deliveries"),
        _count("polled"),
    )


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _account(),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("details", JSONB, nullable=False, server_default=sa.text("'{}'")),
        _now("opened_at"),
        _now("last_seen_at"),
        sa.Column("closed_at", MOMENT),
    )
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["account_id", "kind"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def _account(**options: bool) -> sa.Column[object]:
    """The account that a row belongs to, and goes with."""
    return sa.Column("account_id", sa.Uuid, sa.ForeignKey("provider_configs.id", ondelete="CASCADE"), **options)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=False, server_default=sa.func.now())
