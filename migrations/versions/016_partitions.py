"""The change log and the raw pages in partitions.

What is there becomes the first partition as it is: nothing is copied. Undone, all is copied into one table again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "016_partitions"
down_revision = "015_retention"
branch_labels = None
depends_on = None

SPAN = 10_000_000
TABLES = ("call_events", "sync_pages")
#: no unique index can span partitions without their key: `sync_cursors` holds these
UNIQUE = {"sync_pages": ("uq_sync_pages_slice_id_number", "uq_sync_pages_slice_id_cursor"), "call_events": ()}
#: when the oldest row came
OLDEST = {
    "sync_pages": "SELECT least(min(fetched_at), now()) FROM {}",
    "call_events": "SELECT least(min(created_at), now()) FROM {}",
}

_INDEXES = """
SELECT index.relname AS name, pg_get_indexdef(index.oid) AS definition, con.conname AS constraint,
    pg_get_constraintdef(con.oid) AS means
FROM pg_index JOIN pg_class index ON index.oid = indexrelid LEFT JOIN pg_constraint con ON con.conindid = index.oid
WHERE indrelid = CAST(:name AS regclass)
"""
_REFERENCES = """
SELECT conname AS name, pg_get_constraintdef(oid) AS means FROM pg_constraint
WHERE conrelid = CAST(:name AS regclass) AND contype = 'f'
"""


def upgrade() -> None:
    op.create_table(
        "sync_cursors",
        sa.Column("slice_id", sa.BigInteger, sa.ForeignKey("sync_slices.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("cursor", JSONB, nullable=False),
        sa.UniqueConstraint("slice_id", "cursor"),
    )
    op.execute("""
        INSERT INTO sync_cursors (slice_id, number, cursor)
        SELECT page.slice_id, page.number, page.cursor FROM sync_pages page JOIN sync_runs run ON run.id = page.run_id
        WHERE run.state <> 'completed'
    """)
    for table in TABLES:
        _part(table)


def downgrade() -> None:
    for table in TABLES:
        _join(table)
    op.drop_table("sync_cursors")


def _rows(query: str, **values: str) -> list[sa.RowMapping]:
    return list(op.get_bind().execute(sa.text(query), values).mappings())


def _one(query: str) -> object:
    return op.get_bind().execute(sa.text(query)).scalar()


def _last(table: str) -> int:
    last = _one(f"SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM {table}_id_seq")  # noqa: S608
    assert isinstance(last, int)
    return last


def _part(table: str) -> None:
    """Make the table the first partition of one of the same name."""
    for name in UNIQUE[table]:
        op.drop_constraint(name, table)
    last, first = _last(table), f"{table}_00000"
    beyond = max(-(-(last + SPAN // 2) // SPAN), 1) * SPAN
    indexes, references = _rows(_INDEXES, name=table), _rows(_REFERENCES, name=table)
    op.execute(f"ALTER TABLE {table} ALTER COLUMN id DROP IDENTITY")
    op.execute(f"ALTER TABLE {table} RENAME TO {first}")
    for index in indexes:
        op.execute(f"ALTER INDEX {index['name']} RENAME TO {_short(index['name'])}_00000")
    op.execute(f"CREATE TABLE {table} (LIKE {first} INCLUDING DEFAULTS) PARTITION BY RANGE (id)")
    _dress(table, indexes, references)
    op.execute(f"ALTER TABLE {first} ADD CONSTRAINT fits CHECK (id < {beyond}) NOT VALID")
    op.execute(f"ALTER TABLE {first} VALIDATE CONSTRAINT fits")
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ({beyond})")
    op.execute(f"ALTER TABLE {first} DROP CONSTRAINT fits")
    op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    following = f"{table}_{beyond // SPAN:05d}"
    op.execute(f"CREATE TABLE {following} PARTITION OF {table} FOR VALUES FROM ({beyond}) TO ({beyond + SPAN})")
    op.execute(
        f"DO $$ BEGIN EXECUTE format('COMMENT ON TABLE {first} IS %L', 'began ' || "
        f"to_char(({OLDEST[table].format(first)}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"+00:00\"')); END $$"
    )
    _go_on(table, last)


def _join(table: str) -> None:
    """Copy all partitions into one table."""
    last, whole = _last(table), f"{table}_whole"
    indexes = _rows(_INDEXES, name=table)
    references = _rows(_REFERENCES, name=table)
    op.execute(f"CREATE TABLE {whole} (LIKE {table} INCLUDING DEFAULTS)")
    op.execute(f"INSERT INTO {whole} SELECT * FROM {table}")  # noqa: S608
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE {whole} RENAME TO {table}")
    _dress(table, indexes, references)
    if table == "sync_pages":
        op.create_unique_constraint(None, table, ["slice_id", "number"])
        op.create_unique_constraint(None, table, ["slice_id", "cursor"])
    _go_on(table, last)


def _dress(table: str, indexes: list[sa.RowMapping], references: list[sa.RowMapping]) -> None:
    """The constraints and indexes that the table had, and ids by itself."""
    for one in indexes:
        if one["constraint"]:
            op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {one['constraint']} {one['means']}")
        else:
            op.execute(one["definition"].replace(" ON ONLY ", " ON "))
    for one in references:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {one['name']} {one['means']}")
    op.execute(f"ALTER TABLE {table} ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY")


def _go_on(table: str, last: int) -> None:
    """Ids go on where they were."""
    op.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last + 1}, false)")


def _short(name: str) -> str:
    """Postgres cuts names off after 63 letters."""
    return name[:57]
