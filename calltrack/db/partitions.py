"""Tables in partitions by time: the change log, and raw pages.

They are partitioned by ranges of `id`, because that is what rows are looked up by: an id alone tells the partition. Ids
become time here: when a partition's time is over, the table's sequence jumps to the first id of the next one, which is
there already. Nothing depends on that moment: if nobody moves the sequence, rows go on into the partition that is open,
and beyond its end into the next one. What no partition takes goes to the default one, and is found there all the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

TABLES = ("call_events", "sync_pages")
#: ids of a partition: far more than rows come in its time
SPAN = 1_000_000_000
#: into how many partitions what is kept is cut: few, for whatever does not know the id looks into each
PIECES = 12
SHORTEST = timedelta(days=1)
#: the sequence does not jump where it is as near to the next partition as this: it must never go back
NEAR = 1_000_000
#: How long to wait for a table that others use. They queue behind who waits; and as Postgres looks for circles of
#: waiting after 1 s, it is always this side that gives up in one, never a worker.
LOCK_WAIT = "300ms"

_PARTITIONS = text("""
SELECT child.relname AS name, pg_get_expr(child.relpartbound, child.oid) AS bound
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = CAST(:table AS regclass)
""")
_BOUND = re.compile(r"FROM \((MINVALUE|'\d+')\) TO \('(\d+)'\)")
_COLUMNS = text("""
SELECT quote_ident(attname) FROM pg_attribute
WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped
""")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('calltrack partitions', 0))")
_WAIT = text("SELECT set_config('lock_timeout', :wait, true)")


@dataclass(frozen=True)
class Partition:
    """Rows of one stretch of ids: from `first` up to, and without, `beyond`."""

    name: str
    first: int
    beyond: int


def partitions(connection: Connection, table: str) -> list[Partition]:
    """The partitions of a table in the order of their ids, without the default one."""
    found = []
    for name, bounds in connection.execute(_PARTITIONS, {"table": table}):
        if bound := _BOUND.search(bounds):
            first = 0 if bound[1] == "MINVALUE" else int(bound[1].strip("'"))
            found.append(Partition(name, first, int(bound[2])))
    return sorted(found, key=lambda one: one.first)


def default(table: str) -> str:
    """Where the rows are that no partition takes."""
    return f"{table}_default"


def period(kept: timedelta) -> timedelta:
    """How long a partition takes rows, where they are kept for so long."""
    return max(kept / PIECES, SHORTEST)


def last_id(connection: Connection, table: str) -> int:
    """The last id that was given out; 0: none."""
    number = "CASE WHEN is_called THEN last_value ELSE last_value - 1 END"
    return int(connection.execute(text(f"SELECT {number} FROM {_sequence(connection, table)}")).scalar_one())  # noqa: S608


def open_ahead(connection: Connection, table: str, age: str, kept: timedelta | None) -> None:
    """See to it that the next partition is there, and that it is begun when its time has come. The caller commits.

    `age`: the column that says how old a row is. `kept`: None where nothing is ever removed; then the open partition
    goes on until it is full. Raises psycopg's `LockNotAvailable` where others use the table all the time.
    """
    connection.execute(_WAIT, {"wait": LOCK_WAIT})
    connection.execute(_LOCK)
    last, there = last_id(connection, table), partitions(connection, table)
    if not there or last >= there[-1].first:
        there.append(_create(connection, table, there[-1].beyond if there else 0, last))
    following = next(one for one in there if one.first > last)
    current = next((one for one in there if one.first <= last < one.beyond), None)
    if kept is None or current is None or following.first - last < NEAR:
        return
    if _is_over(connection, current.name, age, period(kept)):
        connection.execute(text(f"SELECT setval('{_sequence(connection, table)}', {following.first}, false)"))


def _is_over(connection: Connection, partition: str, age: str, length: timedelta) -> bool:
    """Whether the partition's first row came so long ago. An empty one goes on."""
    query = f"SELECT now() - {age} >= :length FROM {partition} WHERE {age} IS NOT NULL ORDER BY id LIMIT 1"  # noqa: S608
    return bool(connection.execute(text(query), {"length": length}).scalar())


def _create(connection: Connection, table: str, beyond: int, last: int) -> Partition:
    """The next partition. Its ids must be neither in another one nor in the default one."""
    strayed = connection.execute(text(f"SELECT max(id) FROM {default(table)}")).scalar() or 0  # noqa: S608
    first = max(beyond, (max(last, strayed) // SPAN + 1) * SPAN)
    made = Partition(f"{table}_{first // SPAN:05d}", first, first + SPAN)
    bounds = f"FROM ({made.first}) TO ({made.beyond})"
    connection.execute(text(f"CREATE TABLE {made.name} PARTITION OF {table} FOR VALUES {bounds}"))
    return made


def drop(connection: Connection, table: str, partition: str, staying: Sequence[int]) -> None:
    """Drop a partition, save the rows with these ids: they go to the default one. The caller commits at once.

    For a moment nobody else uses the table, nor those that it refers to: Postgres does not offer `DETACH PARTITION
    CONCURRENTLY` where there is a default one. Raises psycopg's `LockNotAvailable` where that moment does not come.
    """
    connection.execute(_WAIT, {"wait": LOCK_WAIT})
    connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {partition}"))
    if staying:
        names = ", ".join(connection.execute(_COLUMNS, {"table": table}).scalars())
        moved = f"INSERT INTO {default(table)} ({names}) SELECT {names} FROM {partition} WHERE id = ANY(:ids)"  # noqa: S608
        connection.execute(text(moved), {"ids": list(staying)})
    connection.execute(text(f"DROP TABLE {partition}"))


def _sequence(connection: Connection, table: str) -> str:
    return str(connection.execute(text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table}).scalar_one())
