"""Removing what was landed long ago, where nothing needs it any more: raw pages, deliveries, the change log.

How long each is kept is a setting; without it, nothing is removed. Partitions that are old go as a whole
(`calltrack.db.partitions`); elsewhere rows go in small batches, so that nobody waits for them. What is not stored or
processed yet stays, however old it is, and so does what something still needs.

Before anything goes, `kept_since` is raised and committed: from then on everybody who reads what was landed, and takes
it for all there was, knows better (`calltrack.sync.remap`, `calltrack.sync.explain`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import Any

from psycopg import Cursor
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from calltrack import log
from calltrack.db import audit, partitions
from calltrack.db.session import driver, engine
from calltrack.sync.settled import settle

logger = log.get(__name__)

#: in shadow mode what was landed is to become calls later: by a remap, then, which may have failed for now
_CALLS = """
    one.account_id = ANY (ARRAY(SELECT account.id FROM provider_configs account WHERE account.mode = 'live'
        AND coalesce((SELECT operation.state FROM operations operation
            WHERE operation.kind = 'remap' AND operation.account_id = account.id
            ORDER BY operation.id DESC LIMIT 1) NOT IN ('running', 'failed'), true)))
    AND NOT EXISTS (SELECT FROM rejected_records rejected
        WHERE rejected.{door} = one.id AND rejected.resolved_at IS NULL)
"""


@dataclass(frozen=True)
class Kind:
    """Rows that may go when they are old."""

    #: "pages", "deliveries", "events"
    name: str
    table: str
    #: the column that says how old a row is
    age: str
    #: of an old row, called `one`: nothing needs it any more
    free: str
    #: rows that are removed in one transaction
    batch: int

    @property
    def old(self) -> str:
        return f"one.{self.age} < %(before)s"

    @property
    def goes(self) -> str:
        """Of a row: it can go. What a page confirmed must be told first."""
        told = "one.confirmed IS NULL" if self.name == "pages" else "true"
        return f"{self.old} AND {self.free} AND {told}"


PAGES = Kind(
    "pages",
    "sync_pages",
    "fetched_at",
    "one.state = 'stored' AND one.stored_at < %(before)s"
    " AND EXISTS (SELECT FROM sync_runs run WHERE run.id = one.run_id AND run.state = 'completed')"
    f" AND {_CALLS.format(door='page_id')}",
    50,
)
DELIVERIES = Kind(
    "deliveries",
    "webhook_logs",
    "received_at",
    "one.state IN ('processed', 'ignored', 'rejected') AND one.processed_at < %(before)s"
    f" AND {_CALLS.format(door='delivery_id')}",
    1000,
)
EVENTS = Kind("events", "call_events", "created_at", "true", 5000)
KINDS = {kind.name: kind for kind in (PAGES, DELIVERIES, EVENTS)}

#: rows that are looked at in one go
STRETCH = 5000
#: rows that are moved out of a partition that is dropped, while everybody waits; where more stay, others go one by one
MOST_MOVED = 1000
#: by how many times what a partition holds its rows may be too old: until then they wait to go with it
OVERDUE = 1.2

#: who is at it; who reads everything that is kept shares the second one with others
_AT_IT, _READING = "calltrack retention", "calltrack what was landed"
_TRY_ALONE = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_LET_GO = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_SHARED = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))")
_REMAP = text("SELECT id FROM operations WHERE kind = 'remap' AND state = 'running' LIMIT 1")
_SINCE = text("SELECT kind, kept_since FROM retention")
_RAISE = text("""
INSERT INTO retention AS known (kind, kept_since) VALUES (:kind, :before)
ON CONFLICT (kind) DO UPDATE SET kept_since = greatest(known.kept_since, excluded.kept_since)
""")
_REMOVED = text("""
UPDATE retention SET removed = removed + :removed, removed_at = clock_timestamp() WHERE kind = :kind
""")
_NOW = text("SELECT now()")


@dataclass(frozen=True)
class Found:
    """What of a kind is old."""

    kind: str
    #: what is older than this
    before: datetime
    #: rows that can go
    removable: int
    #: rows that are as old, and stay because something needs them
    held: int


def kept_since(connection: Connection) -> dict[str, datetime]:
    """Kind → since when everything of it is kept. What is not there was never removed."""
    return {row.kind: row.kept_since for row in connection.execute(_SINCE)}


def landed_since(connection: Connection) -> datetime | None:
    """Since when every page and delivery is kept; None: since ever."""
    known = kept_since(connection)
    return max((since for kind, since in known.items() if kind != EVENTS.name), default=None)


def share(connection: Connection) -> None:
    """Until the transaction ends, `kept_since` is not raised: what it says is what there is to be read."""
    connection.execute(_SHARED, {"name": _READING})


def look(kept: Mapping[str, timedelta]) -> list[Found]:
    """What would go, and what would stay, if these kinds were kept for so long. Reads all that is old."""
    with engine().connect() as connection:
        now = connection.execute(_NOW).scalar_one()
        return [_looked(connection, KINDS[name], now - age) for name, age in kept.items()]


def _looked(connection: Connection, kind: Kind, before: datetime) -> Found:
    query = f"SELECT count(*) FILTER (WHERE {kind.free}), count(*) FROM {kind.table} one WHERE {kind.old}"  # noqa: S608
    row = driver(connection).execute(query, {"before": before}).fetchone()
    assert row is not None
    return Found(kind.name, before, row[0], row[1] - row[0])


def remove(
    kept: Mapping[str, timedelta], seconds: float | None = None, told: Callable[[str, int], None] | None = None
) -> tuple[dict[str, int], bool]:
    """Remove what is older than it is to be kept, for so many seconds at most, where what costs least may wait.

    `seconds`: None: all that can go goes. Returns how many rows of each kind went, and whether the work is done. Who
    comes while somebody else is at it, or while a remap reads what was landed, finds nothing to do. `told` hears of
    each batch.
    """
    with engine().connect() as alone:
        if not kept or not alone.execute(_TRY_ALONE, {"name": _AT_IT}).scalar():
            return {}, True
        alone.commit()
        try:
            return _remove(kept, seconds, told or (lambda _kind, _rows: None))
        finally:
            alone.execute(_LET_GO, {"name": _AT_IT})


def _remove(
    kept: Mapping[str, timedelta], seconds: float | None, told: Callable[[str, int], None]
) -> tuple[dict[str, int], bool]:
    ends = None if seconds is None else time.monotonic() + seconds
    removed: dict[str, int] = {}
    try:
        for name, rows in _steps(kept, patient=seconds is not None):
            if rows:
                removed[name] = removed.get(name, 0) + rows
                told(name, rows)
            if ends is not None and time.monotonic() > ends:
                return removed, False
        return removed, True
    finally:
        _note(removed)


def _steps(kept: Mapping[str, timedelta], *, patient: bool) -> Iterator[tuple[str, int]]:
    """Remove step by step. Yields what each step removed."""
    for name, age in kept.items():
        kind = KINDS[name]
        before = _announce(kind, age)
        if before is not None:
            overdue = before - OVERDUE * partitions.period(age) if patient else before
            yield from ((name, rows) for rows in _of_kind(kind, before, overdue))


def _of_kind(kind: Kind, before: datetime, overdue: datetime) -> Iterator[int]:
    if kind.table not in partitions.TABLES:
        yield from _row_by_row(kind, kind.table, before)
        return
    with engine().connect() as connection:
        there = [one.name for one in partitions.partitions(connection, kind.table)]
    for name, following in zip_longest(there, there[1:]):
        if following is not None and _begins_before(kind, following, before):
            yield from _whole(kind, name, before)
        elif _begins_before(kind, name, overdue):  # it holds more than its time
            yield from _row_by_row(kind, name, before)
    yield from _row_by_row(kind, partitions.default(kind.table), before)


def _begins_before(kind: Kind, partition: str, moment: datetime) -> bool:
    """Whether the partition's first row came before this. An empty one has not begun."""
    query = f"SELECT {kind.old} FROM {partition} one WHERE one.{kind.age} IS NOT NULL ORDER BY id LIMIT 1"  # noqa: S608
    row = _one(query, {"before": moment})
    return row is not None and bool(row[0])


def _whole(kind: Kind, partition: str, before: datetime) -> Iterator[int]:
    """Drop a partition whose successor began before all that is kept. The few rows that something needs stay.

    Which they are is looked up before: a row that is free stays so, and ids of a partition that was closed a day ago
    or earlier are in nobody's hands any more.
    """
    yield from _tell(kind, partition, before)
    stays = f"SELECT one.id FROM {partition} one WHERE ({kind.goes}) IS NOT TRUE LIMIT %(most)s"  # noqa: S608
    values = {"before": before, "most": MOST_MOVED + 1}
    row = _one(f"SELECT ARRAY({stays}), (SELECT count(*) FROM {partition})", values)  # noqa: S608
    assert row is not None
    staying, removed = row[0], row[1] - len(row[0])
    if len(staying) > MOST_MOVED:
        yield from _row_by_row(kind, partition, before)
        return
    gone = 0
    with _if_free(partition), engine().begin() as connection:
        partitions.drop(connection, kind.table, partition, staying)
        connection.execute(_REMOVED, {"kind": kind.name, "removed": removed})
        gone = removed
    yield gone


def _row_by_row(kind: Kind, table: str, before: datetime) -> Iterator[int]:
    yield from _tell(kind, table, before)
    for ids in _stretches(kind, table, before, kind.goes):
        for place in range(0, len(ids), kind.batch):
            yield _delete(kind, table, before, ids[place : place + kind.batch])


def _delete(kind: Kind, table: str, before: datetime, ids: list[int]) -> int:
    """Remove those of these rows that can go, and that nobody is at."""
    query = f"""
        DELETE FROM {table} WHERE id IN (
            SELECT one.id FROM {table} one WHERE one.id = ANY(%(ids)s) AND {kind.goes} FOR UPDATE OF one SKIP LOCKED)
    """  # noqa: S608
    with engine().begin() as connection:
        removed = driver(connection).execute(query, {"before": before, "ids": ids}).rowcount
        connection.execute(_REMOVED, {"kind": kind.name, "removed": removed})
    return removed


def _tell(kind: Kind, table: str, before: datetime) -> Iterator[int]:
    """Write into calls what these pages confirmed, so that they can go: the newest first, which says all for others."""
    if kind is not PAGES:
        return
    wanted = f"{kind.old} AND {kind.free} AND one.confirmed IS NOT NULL"
    for ids in _stretches(kind, table, before, wanted):
        for place in reversed(range(0, len(ids), kind.batch)):
            with engine().begin() as connection:
                _settle(driver(connection).cursor(), ids[place : place + kind.batch])
            yield 0


def _settle(cursor: Cursor[Any], pages: Sequence[int]) -> None:
    query = """
        SELECT account_id, id FROM sync_pages WHERE id = ANY(%s) AND confirmed IS NOT NULL
        ORDER BY account_id, id FOR UPDATE SKIP LOCKED
    """
    found = cursor.execute(query, [list(pages)]).fetchall()
    for account, its in groupby(found, key=itemgetter(0)):
        settle(cursor, account, [page for _, page in its])


def _stretches(kind: Kind, table: str, before: datetime, wanted: str) -> Iterator[list[int]]:
    """The ids of such rows in the order of their ids, which is about that of landing, until nothing is old any more."""
    query = f"""
        SELECT array_agg(one.id ORDER BY one.id) FILTER (WHERE {wanted}), max(one.id), bool_or({kind.old})
        FROM (SELECT * FROM {table} WHERE id > %(after)s ORDER BY id LIMIT %(most)s) one
    """  # noqa: S608
    after, old = -1, True
    while old:
        row = _one(query, {"before": before, "after": after, "most": STRETCH})
        assert row is not None
        ids, after, old = row
        if ids:
            yield ids


def _one(query: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
    with engine().connect() as connection:
        return driver(connection).execute(query, values).fetchone()


def _note(removed: dict[str, int]) -> None:
    if removed:
        with engine().begin() as connection:
            audit.record(connection, "retention.removed", "retention", **removed)
        logger.info("old rows removed", **removed)


def _announce(kind: Kind, age: timedelta) -> datetime | None:
    """Say that what is older may be gone from now on. None: not now, for a remap reads what was landed."""
    with engine().begin() as connection:
        if kind is not EVENTS:
            connection.execute(_ALONE, {"name": _READING})
            if connection.execute(_REMAP).first():
                return None
        before: datetime = connection.execute(_NOW).scalar_one() - age
        connection.execute(_RAISE, {"kind": kind.name, "before": before})
    return before


def look_ahead(kept: Mapping[str, timedelta]) -> None:
    """See to it that partitions are there before they are needed."""
    for kind in (PAGES, EVENTS):
        with _if_free(kind.table), engine().begin() as connection:
            partitions.open_ahead(connection, kind.table, kind.age, kept.get(kind.name))


@contextmanager
def _if_free(table: str) -> Iterator[None]:
    """What needs a table for itself is left for the next time, where others use it all the time."""
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
            raise
        logger.info("a table is in use: tried again later", table=table)
