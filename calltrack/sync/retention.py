"""Removing what was landed long ago, where nothing needs it any more: raw pages, deliveries, the change log.

How long each is kept is a setting; without it, nothing is removed. Partitions that are old go as a whole
(`calltrack.db.partitions`); elsewhere rows go in small batches, so that nobody waits for them. What is not stored or
processed yet stays, however old it is, and so does what something still refers to.

Before anything goes, `kept_since` is raised and committed: from then on everybody who reads what was landed, and takes
it for all there was, knows better (`calltrack.sync.remap`, `calltrack.sync.explain`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from calltrack import log
from calltrack.config import settings
from calltrack.db import audit, partitions
from calltrack.db.session import driver, engine
from calltrack.sync import alerts
from calltrack.sync.settled import settle

logger = log.get(__name__)

_NO_REJECT = """NOT EXISTS (SELECT FROM rejected_records rejected
    WHERE rejected.{door} = one.id AND rejected.resolved_at IS NULL)"""
#: in shadow mode what was landed is to become calls later
_LIVE = "EXISTS (SELECT FROM provider_configs account WHERE account.id = one.account_id AND account.mode = 'live')"


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
    def stays(self) -> str:
        """Of a row in a partition that is to be dropped: it cannot go with it. What it confirmed must be told first."""
        told = " AND one.confirmed IS NULL" if self.name == "pages" else ""
        return f"({self.old} AND {self.free}{told}) IS NOT TRUE"


PAGES = Kind(
    "pages",
    "sync_pages",
    "fetched_at",
    "one.state = 'stored' AND one.stored_at < %(before)s"
    " AND EXISTS (SELECT FROM sync_runs run WHERE run.id = one.run_id AND run.state = 'completed')"
    f" AND {_LIVE} AND {_NO_REJECT.format(door='page_id')}",
    50,
)
DELIVERIES = Kind(
    "deliveries",
    "webhook_logs",
    "received_at",
    "one.state IN ('processed', 'ignored', 'rejected') AND one.processed_at < %(before)s"
    f" AND {_LIVE} AND {_NO_REJECT.format(door='delivery_id')}",
    1000,
)
EVENTS = Kind("events", "call_events", "created_at", "true", 5000)
KINDS = {kind.name: kind for kind in (PAGES, DELIVERIES, EVENTS)}

#: rows that are moved out of a partition that is dropped; where more stay, the others go one by one
MOST_MOVED = 10_000
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
    #: rows that can go, or went
    removed: int
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


def look(kept: dict[str, timedelta]) -> list[Found]:
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
    kept: dict[str, timedelta] | None = None,
    seconds: float | None = None,
    told: Callable[[str, int], None] | None = None,
) -> tuple[dict[str, int], bool]:
    """Remove what is older than it is to be kept (by default: as the settings say), for so many seconds at most.

    Returns how many rows of each kind went, and whether the work is done. Who comes while somebody else is at it, or
    while a remap reads what was landed, finds nothing to do. `told` hears of each batch.
    """
    wanted = dict(settings().retention) if kept is None else kept
    ends = None if seconds is None else time.monotonic() + seconds
    with engine().connect() as alone:
        if not wanted or not alone.execute(_TRY_ALONE, {"name": _AT_IT}).scalar():
            return {}, True
        alone.commit()
        try:
            return _remove(wanted, ends, told or (lambda _kind, _rows: None))
        finally:
            alone.execute(_LET_GO, {"name": _AT_IT})


def _remove(
    wanted: dict[str, timedelta], ends: float | None, told: Callable[[str, int], None]
) -> tuple[dict[str, int], bool]:
    removed: dict[str, int] = {}
    for name, age in wanted.items():
        kind, before = KINDS[name], _announce(KINDS[name], age)
        for rows in _steps(kind, before, age) if before is not None else ():
            if rows:
                removed[name] = removed.get(name, 0) + rows
                told(name, rows)
            if ends is not None and time.monotonic() > ends:
                _note(removed)
                return removed, False
    _note(removed)
    return removed, True


def _steps(kind: Kind, before: datetime, kept: timedelta) -> Iterator[int]:
    """Remove step by step. Yields how many rows each step removed."""
    if kind.table not in partitions.TABLES:
        yield from _row_by_row(kind, kind.table, before)
        return
    with engine().connect() as connection:
        there = partitions.partitions(connection, kind.table)
    for one, following in zip(there, [*there[1:], None], strict=True):
        if following is not None and following.began is not None and following.began < before:
            yield from _whole(kind, one, before)
        elif _overdue(kind, one.name, before - OVERDUE * partitions.period(kept)):
            yield from _row_by_row(kind, one.name, before)  # it holds more than its time: from before there were others
    yield from _row_by_row(kind, partitions.default(kind.table), before)


def _overdue(kind: Kind, partition: str, before: datetime) -> bool:
    """Whether the partition begins with rows that ought to be gone by far."""
    query = f"SELECT {kind.old} FROM {partition} one WHERE one.{kind.age} IS NOT NULL ORDER BY id LIMIT 1"  # noqa: S608
    with engine().connect() as connection:
        row = driver(connection).execute(query, {"before": before}).fetchone()
    return row is not None and bool(row[0])


def _row_by_row(kind: Kind, table: str, before: datetime) -> Iterator[int]:
    after: int | None = -1
    while after is not None:
        rows, after = _batch(kind, table, before, after)
        yield rows


def _whole(kind: Kind, partition: partitions.Partition, before: datetime) -> Iterator[int]:
    """Drop a partition in which all is old. The few rows that something needs go to the default one."""
    if kind is PAGES:
        yield from _tell_rows(partition.name, before)
    if _staying(kind, partition.name, before) > MOST_MOVED:
        yield from _row_by_row(kind, partition.name, before)
        return
    try:
        with engine().begin() as connection:
            stays = kind.stays.replace("%(before)s", ":before")
            removed = partitions.drop(connection, partition.name, kind.table, stays, {"before": before})
            connection.execute(_REMOVED, {"kind": kind.name, "removed": removed})
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        logger.info("a partition is in use: it is dropped the next time", partition=partition.name)
        return
    yield removed


def _staying(kind: Kind, partition: str, before: datetime) -> int:
    query = f"SELECT count(*) FROM {partition} one WHERE {kind.stays}"  # noqa: S608 - our own words
    with engine().connect() as connection:
        row = driver(connection).execute(query, {"before": before}).fetchone()
    assert row is not None
    return int(row[0])


def _tell_rows(partition: str, before: datetime) -> Iterator[int]:
    """Write into calls what the pages of a partition confirmed, so that they can go."""
    after: int | None = -1
    while after is not None:
        with engine().begin() as connection:
            cursor = driver(connection).cursor()
            ids, _ = _next(cursor, PAGES, partition, before, after)
            _tell(cursor, _free(cursor, PAGES, partition, before, ids))
            after = ids[-1] if ids else None
        yield 0


def _tell(cursor: Cursor[Any], pages: Sequence[int]) -> None:
    for account, confirming in _confirming(cursor, pages).items():
        settle(cursor, account, confirming)


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


def _batch(kind: Kind, table: str, before: datetime, after: int) -> tuple[int, int | None]:
    """Remove what can go of the next rows in the order of their ids, which is about that of landing.

    Returns how many went, and the last id; None: from there on nothing is old.
    """
    with engine().begin() as connection:
        cursor = driver(connection).cursor()
        ids, old = _next(cursor, kind, table, before, after)
        free = _free(cursor, kind, table, before, ids) if old else []
        if kind is PAGES:
            _tell(cursor, free)
        if free:
            cursor.execute(f"DELETE FROM {table} WHERE id = ANY(%s)", [free])  # noqa: S608 - our own word
            connection.execute(_REMOVED, {"kind": kind.name, "removed": len(free)})
    return len(free), ids[-1] if old else None


def _next(cursor: Cursor[Any], kind: Kind, table: str, before: datetime, after: int) -> tuple[list[int], int]:
    """The next ids, and how many of them are old."""
    query = f"SELECT one.id, {kind.old} FROM {table} one WHERE one.id > %(after)s ORDER BY one.id LIMIT %(most)s"  # noqa: S608
    found = cursor.execute(query, {"before": before, "after": after, "most": kind.batch}).fetchall()
    return [row[0] for row in found], sum(row[1] or False for row in found)


def _free(cursor: Cursor[Any], kind: Kind, table: str, before: datetime, ids: Sequence[int]) -> list[int]:
    """Those of these that can go, locked."""
    query = f"""
        SELECT one.id FROM {table} one WHERE one.id = ANY(%(ids)s) AND {kind.old} AND {kind.free}
        ORDER BY one.id FOR UPDATE OF one SKIP LOCKED
    """  # noqa: S608
    return [row[0] for row in cursor.execute(query, {"before": before, "ids": list(ids)})]


def _confirming(cursor: Cursor[Any], pages: Sequence[int]) -> dict[UUID, list[int]]:
    """Account → those of these pages that confirmed calls."""
    query = "SELECT account_id, id FROM sync_pages WHERE id = ANY(%s) AND confirmed IS NOT NULL ORDER BY account_id, id"
    found: dict[UUID, list[int]] = {}
    for account, page in cursor.execute(query, [list(pages)]).fetchall():
        found.setdefault(account, []).append(page)
    return found


def look_ahead() -> None:
    """See to it that partitions are there before they are needed; open an alert where one was not."""
    kept = settings().retention
    for kind in (PAGES, EVENTS):
        try:
            with engine().begin() as connection:
                partitions.open_ahead(connection, kind.table, kept.get(kind.name))
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
    with engine().begin() as connection:
        connection.execute(_ALONE, {"name": "calltrack strays"})
        strays = {kind.table: partitions.strays(connection, kind.table) for kind in (PAGES, EVENTS)}
        if any(strays.values()):
            where = ", ".join(f"{rows:,} of {table}" for table, rows in strays.items() if rows)
            message = f"Rows came for which no partition was there ({where}): nothing is lost, see docs/retention.md."
            alerts.open(connection, None, alerts.STRAYS, message)
        else:
            alerts.close(connection, None, alerts.STRAYS)
