"""The ledger of pulling: runs, their slices, and every page with its raw body."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "004_sync_ledger"
down_revision = "003_call_tracking_providers"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_runs()
    _create_slices()
    _create_pages()


def downgrade() -> None:
    op.drop_table("sync_pages")
    op.drop_table("sync_slices")
    op.drop_table("sync_runs")


def _create_runs() -> None:
    op.create_table(
        "sync_runs",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _belongs_to("account_id", "provider_configs.id", sa.Uuid),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("axis", sa.Text, nullable=False),
        sa.Column("since", MOMENT),
        sa.Column("until", MOMENT),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'queued'")),
        sa.Column("reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("expected", sa.BigInteger),
        _count("pages"),
        *_outcomes(),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("started_at", MOMENT),
        sa.Column("progressed_at", MOMENT),
        sa.Column("finished_at", MOMENT),
    )
    op.create_index(
        "ix_sync_runs_open", "sync_runs", ["account_id"], postgresql_where=sa.text("state IN ('queued', 'running')")
    )
    op.create_index("ix_sync_runs_account_created", "sync_runs", ["account_id", sa.text("created_at DESC")])


def _create_slices() -> None:
    op.create_table(
        "sync_slices",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _belongs_to("run_id", "sync_runs.id", sa.BigInteger),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'open'")),
        sa.Column("expected", sa.BigInteger),
    )
    op.create_index("ix_sync_slices_open", "sync_slices", ["run_id"], postgresql_where=sa.text("state = 'open'"))
    op.create_index("ix_sync_slices_run_id", "sync_slices", ["run_id"])


def _create_pages() -> None:
    op.create_table(
        "sync_pages",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _belongs_to("run_id", "sync_runs.id", sa.BigInteger),
        _belongs_to("slice_id", "sync_slices.id", sa.BigInteger),
        _belongs_to("account_id", "provider_configs.id", sa.Uuid),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("cursor", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'pending'")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("leased_until", MOMENT),
        sa.Column("hinted_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.Column("body_digest", sa.LargeBinary),
        sa.Column("fetched_at", MOMENT),
        sa.Column("stored_at", MOMENT),
        *_outcomes(),
        sa.Column("confirmed", ARRAY(sa.Uuid)),
        sa.UniqueConstraint("slice_id", "number"),
        sa.UniqueConstraint("slice_id", "cursor"),
    )
    op.create_index(
        "ix_sync_pages_run_unstored", "sync_pages", ["run_id"], postgresql_where=sa.text("state <> 'stored'")
    )
    op.create_index(
        "ix_sync_pages_waiting",
        "sync_pages",
        ["next_attempt_at"],
        postgresql_where=sa.text("state IN ('pending', 'fetched')"),
    )
    op.create_index("ix_sync_pages_account_fetched", "sync_pages", ["account_id", "fetched_at"])


def _belongs_to(name: str, target: str, kind: type[sa.types.TypeEngine[object]]) -> sa.Column[object]:
    return sa.Column(name, kind, sa.ForeignKey(target, ondelete="CASCADE"), nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _outcomes() -> list[sa.Column[int]]:
    names = ("fetched", "inserted", "updated", "unchanged", "rejected", "duplicates")
    return [_count(name) for name in names]
