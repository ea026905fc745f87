"""Bulk reads and writes of `calls`: COPY into a temporary staging table, then one statement.

All functions work on a psycopg cursor, inside the caller's transaction. Rows are staged and locked in the order of
their ids, so that two writers never wait for each other in a circle.

What reads or updates `calls` is planned anew each time (`prepare=False`): a plan that a session keeps from when the
table was small reads the whole table, for every page, until Postgres analyzes it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Cursor, sql
from sqlalchemy.dialects.postgresql import dialect

from calltrack.db.tables import calls
from calltrack.model import FIELDS

IDENTITY = ("id", "account_id", "provider", "external_id")
#: the columns that a merge writes
MERGED = (*FIELDS, "metadata", "provider_data", "observations", "content_digest")

#: Postgres' long type names → the names that psycopg knows
_SHORT = {"timestamp with time zone": "timestamptz", "numeric(18, 6)": "numeric", "integer": "int4", "boolean": "bool"}


def _type(name: str) -> str:
    long = str(calls.columns[name].type.compile(dialect())).lower()  # type: ignore[no-untyped-call]
    return _SHORT.get(long, long)


_CALL = {name: _type(name) for name in (*IDENTITY, *MERGED)}
_STAGED = _CALL | {"page_id": "int8", "delivery_id": "int8", "changed": "text[]"}
_EVENT = {"call_id": "uuid", "account_id": "uuid", "event": "text", "page_id": "int8", "delivery_id": "int8"}


class Staged(NamedTuple):
    """A call as it is to be written."""

    id: UUID
    account_id: UUID
    provider: str
    external_id: str
    #: the values of `MERGED`, in that order
    values: Sequence[Any]
    page_id: int | None
    delivery_id: int | None
    #: the columns whose values change; None: only the record of where they came from does
    changed: list[str] | None


def _names(names: Iterable[str], prefix: str = "") -> sql.Composed:
    dot = sql.SQL(prefix)
    return sql.SQL(", ").join([dot + sql.Identifier(name) for name in names])


_CLEAR = (
    sql.SQL("""
CREATE TEMPORARY TABLE IF NOT EXISTS staged_calls ({}) ON COMMIT DELETE ROWS;
DELETE FROM staged_calls
""")
    .format(
        sql.SQL(", ").join(
            [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in _STAGED.items()]
        )
    )
    .as_bytes()
)


class _Copy:
    """COPY into a table, of these columns (name → type)."""

    def __init__(self, table: str, columns: Mapping[str, str]) -> None:
        query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
        self._query = query.format(sql.Identifier(table), _names(columns)).as_bytes()
        self._types = tuple(columns.values())

    def __call__(self, cursor: Cursor[Any], rows: Iterable[Sequence[Any]]) -> None:
        with cursor.copy(self._query) as copy:
            copy.set_types(self._types)
            for row in rows:
                copy.write_row(row)


_STAGE = _Copy("staged_calls", _STAGED)
_LOG_NEW = _Copy("call_events", _EVENT)


class Table:
    """A table of calls. What is written to `calls` is logged in `call_events`; to `shadow_calls` it is not."""

    def __init__(self, name: str, *, logged: bool) -> None:
        self.logged = logged
        self._digests = _statement("SELECT id, content_digest FROM {table} WHERE id = ANY(%s)", name)
        self._read = _statement(_READ, name)
        self._lock = _statement(_READ + " ORDER BY id FOR NO KEY UPDATE", name)
        self._insert = _statement(_INSERT if logged else _INSERT_UNLOGGED, name)
        self._update = _statement((_LOG if logged else "") + _UPDATE, name)
        self._copy = _Copy(name, _CALL)

    def digests(self, cursor: Cursor[Any], ids: Sequence[UUID]) -> dict[UUID, bytes | None]:
        """Which of these calls have a row, and the digest of the last complete record that it took in."""
        return dict(cursor.execute(self._digests, [ids], binary=True, prepare=False).fetchall())

    def lock(self, cursor: Cursor[Any], ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
        """Lock the rows of these calls until the transaction ends, in the order of their ids, and read them."""
        return _by_id(cursor.execute(self._lock, [ids], binary=True, prepare=False))

    def read(self, cursor: Cursor[Any], ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
        """As `lock`, without keeping anybody from them."""
        return _by_id(cursor.execute(self._read, [ids], binary=True, prepare=False))

    def insert(self, cursor: Cursor[Any], rows: Sequence[Staged]) -> set[UUID]:
        """Insert these calls with their entries in the change log. Returns the ids that had no row before."""
        _stage(cursor, rows)
        return {row[0] for row in cursor.execute(self._insert, binary=True)}

    def insert_new(self, cursor: Cursor[Any], rows: Sequence[Staged]) -> None:
        """As `insert`, of calls that have no row, without the detour through the staging table.

        Raises psycopg's `UniqueViolation` where one has a row after all: a savepoint of the caller takes that back.
        """
        self._copy(cursor, [(*row[:4], *row.values) for row in rows])
        if self.logged:
            events = [(row.id, row.account_id, "inserted", row.page_id, row.delivery_id) for row in rows]
            _LOG_NEW(cursor, events)

    def update(self, cursor: Cursor[Any], rows: Sequence[Staged]) -> None:
        """Write these calls, whose rows are locked, with their entries in the change log."""
        _stage(cursor, rows)
        cursor.execute(self._update, prepare=False)


def _by_id(found: Cursor[Any]) -> dict[UUID, dict[str, Any]]:
    return {row[0]: dict(zip(MERGED, row[1:], strict=True)) for row in found}


def _statement(template: str, table: str) -> bytes:
    parts = {
        "table": sql.Identifier(table),
        "columns": _names((*IDENTITY, *MERGED)),
        "merged": _names(MERGED),
        "values": _names(MERGED, "s."),
    }
    return sql.SQL(template).format(**parts).as_bytes()


_READ = "SELECT id, {merged} FROM {table} WHERE id = ANY(%s)"
_INSERT_UNLOGGED = """
INSERT INTO {table} ({columns}) SELECT {columns} FROM staged_calls ORDER BY id
ON CONFLICT DO NOTHING RETURNING id
"""
_INSERT = """
WITH new AS (
    INSERT INTO {table} ({columns}) SELECT {columns} FROM staged_calls ORDER BY id
    ON CONFLICT DO NOTHING RETURNING id
), logged AS (
    INSERT INTO call_events (call_id, account_id, event, page_id, delivery_id)
    SELECT s.id, s.account_id, 'inserted', s.page_id, s.delivery_id FROM staged_calls s JOIN new USING (id)
)
SELECT id FROM new
"""
_LOG = """
WITH logged AS (
    INSERT INTO call_events (call_id, account_id, event, changed, page_id, delivery_id)
    SELECT id, account_id, 'updated', changed, page_id, delivery_id FROM staged_calls WHERE changed IS NOT NULL
)
"""
_UPDATE = """
UPDATE {table} SET ({merged}) = ROW({values}), last_synced_at = now(),
    updated_at = CASE WHEN s.changed IS NULL THEN {table}.updated_at ELSE now() END
FROM staged_calls s WHERE {table}.id = s.id
"""

CALLS = Table("calls", logged=True)
#: what `calls` would be
SHADOW = Table("shadow_calls", logged=False)


def _stage(cursor: Cursor[Any], rows: Sequence[Staged]) -> None:
    """Make the staging table hold just these rows."""
    cursor.execute(_CLEAR)
    _STAGE(cursor, [(*row[:4], *row.values, row.page_id, row.delivery_id, row.changed) for row in rows])
