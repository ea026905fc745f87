"""Tables in partitions by time: the change log, and raw pages.

They are partitioned by ranges of `id`, because that is what rows are looked up by: an id alone tells the partition. Ids
become time here: when a partition's time is over, the table's sequence jumps to the first id of the next one, which is
there already. Nothing depends on that moment: if nobody moves the sequence, rows go on into the partition that is open,
and beyond its end into the next one. What no partition takes goes to the default one, and is found there all the same.

What a partition began with stands in its comment, so that the catalogue alone says all there is to know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

TABLES = ("call_events", "sync_pages")
#: ids of a partition, at least
SPAN = 10_000_000
#: into how many partitions what is kept is cut: few, for whatever does not know the id looks into each
PIECES = 12
SHORTEST = timedelta(days=1)
#: the sequence grows into the next partition by itself where it is as near as this: nobody jumps beside others
NEAR = 100_000
#: nobody is to wait for long behind a change of the table
LOCK_WAIT = "2s"

_PARTITIONS = text("""
SELECT child.relname AS name, pg_get_expr(child.relpartbound, child.oid) AS bound,
    obj_description(child.oid, 'pg_class') AS comment
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = CAST(:table AS regclass)
""")
_BOUND = re.compile(r"FROM \((MINVALUE|'-?\d+')\) TO \('(\d+)'\)")
_BEGAN = "began "
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('calltrack partitions', 0))")
_WAIT = text("SELECT set_config('lock_timeout', :wait, true)")
_NOW = text("SELECT now()")


@dataclass(frozen=True)
class Partition:
    """Rows of one stretch of ids."""

    name: str
    #: ids from `first` up to, and without, `beyond`
    first: int
    beyond: int
    #: since when its ids are given out; None: it waits for its time
    began: datetime | None


def partitions(connection: Connection, table: str) -> list[Partition]:
    """The partitions of a table in the order of their ids, without the default one."""
    found = []
    for row in connection.execute(_PARTITIONS, {"table": table}).mappings():
        if bound := _BOUND.search(row["bound"]):
            first = 0 if bound[1] == "MINVALUE" else int(bound[1].strip("'"))
            found.append(Partition(row["name"], first, int(bound[2]), _began(row["comment"])))
    return sorted(found, key=lambda one: one.first)


def _began(comment: str | None) -> datetime | None:
    return datetime.fromisoformat(comment.removeprefix(_BEGAN)) if comment else None


def default(table: str) -> str:
    """Where the rows are that no partition takes."""
    return f"{table}_default"


def period(kept: timedelta) -> timedelta:
    """How long a partition takes rows, where they are kept for so long."""
    return max(kept / PIECES, SHORTEST)


def open_ahead(connection: Connection, table: str, kept: timedelta | None) -> None:
    """See to it that the next partition is there, and that it is begun when its time has come. The caller commits.

    `kept`: None where nothing is ever removed: then the one there is goes on, unless it is full.
    """
    connection.execute(_LOCK)
    connection.execute(_WAIT, {"wait": LOCK_WAIT})
    now: datetime = connection.execute(_NOW).scalar_one()
    last = _last_id(connection, table)
    there = partitions(connection, table)
    for one in there:
        if one.began is None and one.first <= last:  # the sequence grew into it
            _begin(connection, one.name, now)
    if last >= there[-1].first:
        there.append(_create(connection, table, max(there[-1].beyond, _beyond_default(connection, table)), last))
    current = next((one for one in there if one.first <= last < one.beyond), None)
    following = next((one for one in there if one.first > last), None)
    if kept is None or current is None or current.began is None or following is None:
        return
    if now - current.began >= period(kept) and last > current.first and last < following.first - NEAR:
        connection.execute(text(f"SELECT setval('{_sequence(connection, table)}', {following.first}, false)"))
        _begin(connection, following.name, now)


def strays(connection: Connection, table: str) -> int:
    """Rows in the default partition that came when no partition was there for them."""
    lowest = partitions(connection, table)[0].beyond
    query = text(f"SELECT count(*) FROM {default(table)} WHERE id >= :lowest")  # noqa: S608 - our own words
    return int(connection.execute(query, {"lowest": lowest}).scalar_one())


def drop(connection: Connection, partition: str, table: str, stays: str, values: dict[str, object]) -> int:
    """Drop a partition, save the rows (called `one`) that stay: they go to the default one. Returns how many went.

    For a moment nobody else uses the table. Raises psycopg's `LockNotAvailable` where that moment does not come. The
    caller commits at once.
    """
    connection.execute(_WAIT, {"wait": LOCK_WAIT})
    connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {partition}"))
    count = text(f"SELECT count(*) FROM {partition}")  # noqa: S608
    before = int(connection.execute(count).scalar_one())
    names = ", ".join(f'"{name}"' for name in _columns(connection, table))
    moved = text(f"INSERT INTO {default(table)} ({names}) SELECT {names} FROM {partition} one WHERE {stays}")  # noqa: S608
    kept = connection.execute(moved, values).rowcount
    connection.execute(text(f"DROP TABLE {partition}"))
    return before - kept


def _columns(connection: Connection, table: str) -> Sequence[str]:
    query = text(
        "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped"
    )
    return connection.execute(query, {"table": table}).scalars().all()


def _sequence(connection: Connection, table: str) -> str:
    return str(connection.execute(text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table}).scalar_one())


def _last_id(connection: Connection, table: str) -> int:
    """The last id that was given out; 0: none."""
    number = "CASE WHEN is_called THEN last_value ELSE last_value - 1 END"
    query = text(f"SELECT {number} FROM {_sequence(connection, table)}")  # noqa: S608
    return int(connection.execute(query).scalar_one())


def _beyond_default(connection: Connection, table: str) -> int:
    """Where a new partition may begin: its ids must not be in the default one."""
    last = connection.execute(text(f"SELECT max(id) FROM {default(table)}")).scalar()  # noqa: S608
    reached = max(last or 0, _last_id(connection, table))
    return -(-(reached + 1 + NEAR) // SPAN) * SPAN if last else 0


def _create(connection: Connection, table: str, first: int, last: int) -> Partition:
    """A partition from this id on: large where ids go fast."""
    span = max(SPAN, -(-2 * max(last - first + SPAN, 0) // SPAN) * SPAN)
    name = f"{table}_{first // SPAN:05d}"
    connection.execute(text(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ({first}) TO ({first + span})"))
    return Partition(name, first, first + span, None)


def _begin(connection: Connection, partition: str, now: datetime) -> None:
    connection.execute(text(f"COMMENT ON TABLE {partition} IS '{_BEGAN}{now.astimezone(UTC).isoformat()}'"))
