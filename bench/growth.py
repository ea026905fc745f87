"""Whether storing and landing stay as quick when tables have grown, and what partitions cost.

    python -m bench.growth [--held 0 1000000] [--partitions 0 12 60] [--pages 100] [--deliveries 3000] [--rounds 3]

Pages of 100 Retreaver calls (1.2 KB each) are stored one after the other in this process, new ones and then the same
with a change, and deliveries are landed on one connection, each committed to disk: the statements of the running
system, without Celery, HTTP and gunicorn. Figures are calls, and deliveries, a second; medians of the rounds.

`--held`: rows that `calls` holds already (about 2 GB a million). `--partitions`: of the change log and the raw pages;
0 is one plain table each, as before there were partitions. `keyed`: landing with the keys of deliveries in a table of
their own, and the deliveries in 12 partitions: what partitioning `webhook_logs` would take.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import psutil
import psycopg
from sqlalchemy import text

from bench import records, stack, usage
from calltrack import accounts, config
from calltrack.db import migrate, partitions, tables
from calltrack.db.session import engine
from calltrack.sync import store
from calltrack.sync.connections import vault
from calltrack.sync.inbox import Delivery, land

PROVIDER, SIZE = "retreaver", 100
BEFORE = "015_retention"

_FILL = """
INSERT INTO calls (id, account_id, provider, external_id, status, direction, caller_number, campaign_id, agent_name,
    started_at, ended_at, duration_seconds, revenue, provider_data, observations, content_digest)
SELECT gen_random_uuid(), %(account)s, 'retreaver', 'held ' || n, 'completed', 'inbound', '+1212555' || n %% 9999,
    'c' || n %% 17, 'agent ' || n %% 200, now() - n * interval '10 s', now() - n * interval '10 s', n %% 600, n %% 40,
    %(record)s::jsonb, '[[3, 1795220189288543, 3, 1, "32e59b9e"]]', decode(md5(n::text), 'hex')
FROM generate_series(%(first)s + 1, %(last)s) n
"""
_OPEN = text("""
WITH run AS (
    INSERT INTO sync_runs (account_id, provider, mode, axis, state, started_at)
    VALUES (:account, 'retreaver', 'full', 'created', 'running', now()) RETURNING id
), slice AS (
    INSERT INTO sync_slices (run_id, since, until) SELECT id, now(), now() FROM run RETURNING id, run_id
)
SELECT id, run_id FROM slice
""")
_PAGE = text("""
INSERT INTO sync_pages (run_id, slice_id, account_id, provider, number, cursor, state, body, body_digest, fetched_at)
VALUES (:run, :slice, :account, 'retreaver', :number, jsonb_build_object('page', CAST(:number AS int)), 'fetched',
    :body, :digest, now()) RETURNING id
""")
_KEYED = """
WITH key AS (
    INSERT INTO tried_keys AS known (dedup_key) VALUES (%b)
    ON CONFLICT (dedup_key) DO UPDATE SET dedup_key = known.dedup_key
    RETURNING delivery_id, xmax = 0 AS fresh
), landed AS (
    INSERT INTO tried_logs
        (id, account_id, provider, event_type, headers, content_type, query, body, verified, dedup_key)
    SELECT delivery_id, %b, %t, %t, '{}', %t, '', %b, true, '' FROM key WHERE fresh
)
SELECT delivery_id, fresh FROM key
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held", type=int, nargs="+", default=[0, 1_000_000])
    parser.add_argument("--partitions", type=int, nargs="+", default=[0, 12, 60])
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--deliveries", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with stack.home(), engine().begin() as connection:
        values = {"api_key": "none"}
        account = accounts.add(connection, vault(), PROVIDER, values=values, scheduled=False).account.id
        connection.commit()
        made, held = Pages(args.pages), 0
        for wanted in sorted(args.held):
            fill(account, held, wanted)
            held = wanted
            rounds: dict[int, list[tuple[Taken, ...]]] = {number: [] for number in args.partitions}
            for _ in range(args.rounds):
                for number in args.partitions:
                    cut(number)
                    rounds[number].append((*stored(account, made), landed(account, args.deliveries)))
            for number, found in rounds.items():
                new, changed, deliveries = (_median(column) for column in zip(*found, strict=True))
                told = f"new {new}  changed {changed}  landed {deliveries}"
                print(f"median  {held:>10,} calls held  {number:>3} partitions  {told}", flush=True)
            keyed = _median([landed_keyed(account, args.deliveries) for _ in range(args.rounds)])
            print(f"median  {held:>10,} calls held  keyed landing  {keyed}", flush=True)


class Taken(NamedTuple):
    """What storing or landing took."""

    rate: float
    #: µs for each
    cpu: float

    def __str__(self) -> str:
        return f"{self.rate:7,.0f}/s {self.cpu:6,.0f} µs"


class Clock:
    """Wall time, and CPU time of this process and of Postgres."""

    def __init__(self) -> None:
        self._postgres = psutil.Process(usage.child("postgres"))
        self._began, self._cpu = time.perf_counter(), self._now()

    def taken(self, number: int) -> Taken:
        return Taken(number / (time.perf_counter() - self._began), (self._now() - self._cpu) / number * 1e6)

    def _now(self) -> float:
        backends = [self._postgres, *self._postgres.children()]
        return time.process_time() + sum(one.cpu_times().user + one.cpu_times().system for one in backends)


def _median(found: Sequence[Taken]) -> Taken:
    return Taken(*(statistics.median(column) for column in zip(*found, strict=True)))


def fill(account: UUID, first: int, last: int) -> None:
    """Let `calls` hold so many rows."""
    record = records.make(1, 1, datetime.now(UTC))[0].json.decode()
    with _raw() as connection:
        for begin in range(first, last, 100_000):
            values = {"account": account, "record": record, "first": begin, "last": min(begin + 100_000, last)}
            connection.execute(_FILL, values)
        connection.execute("VACUUM (ANALYZE) calls")
        connection.execute("CHECKPOINT")


def cut(number: int) -> None:
    """So many partitions of the two tables, each with some rows but the last, which is the open one."""
    with _raw() as connection:
        connection.execute("TRUNCATE sync_runs, call_events, webhook_logs CASCADE")
        parted = connection.execute("SELECT to_regclass('sync_pages_default') IS NOT NULL").fetchone()
    engine().dispose()
    if bool(parted and parted[0]) != bool(number):
        if number:
            with _raw() as connection:
                connection.execute("DROP TABLE sync_cursors")
            migrate.upgrade(engine())
        else:
            migrate.downgrade(engine(), BEFORE)
            tables.sync_cursors.create(engine())
    with _raw() as connection:
        for table in partitions.TABLES if number else ():
            for (name,) in connection.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table]
            ).fetchall():
                if not name.endswith("_default"):
                    connection.execute(f"DROP TABLE {name}")
            span = partitions.SPAN
            for place in range(number):
                first, name = place * span, f"{table}_{place:05d}"
                connection.execute(
                    f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ({first}) TO ({first + span})"
                )
            connection.execute(f"SELECT setval('{table}_id_seq', {(number - 1) * span + 1})")
        connection.execute("ANALYZE sync_pages, call_events")
        connection.execute("CHECKPOINT")


class Pages:
    """Bodies of pages, as they come first and with a change in each call; every round has calls of its own."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._round = 0

    def bodies(self) -> tuple[list[bytes], list[bytes]]:
        self._round += 1
        made = [one.json for one in records.make(self._number * SIZE, 30, datetime(2025, 7, 1, tzinfo=UTC))]
        mark = b'"uuid":"%04x' % self._round
        first = [one.replace(one[one.index(b'"uuid":"') :][:12], mark, 1) for one in made]
        later = [
            one.replace(b'"finished"', b'"no_answer"').replace(b'"updated_at":"2025', b'"updated_at":"2026')
            for one in first
        ]
        return self._paged(first), self._paged(later)

    def _paged(self, made: list[bytes]) -> list[bytes]:
        return [b"[" + b",".join(made[first : first + SIZE]) + b"]" for first in range(0, len(made), SIZE)]


def stored(account: UUID, made: Pages) -> tuple[Taken, Taken]:
    """New calls, and calls that changed."""
    first, later = made.bodies()
    return _store(account, first, "inserted"), _store(account, later, "updated")


def _store(account: UUID, bodies: list[bytes], count: str) -> Taken:
    ids = []
    with engine().begin() as connection:
        slice_id, run = connection.execute(_OPEN, {"account": account}).one()
        for number, body in enumerate(bodies, 1):
            page = {"body": zlib.compress(body, 1), "digest": blake2b(body, digest_size=16).digest(), "number": number}
            ids.append(
                connection.execute(_PAGE, {**page, "run": run, "slice": slice_id, "account": account}).scalar_one()
            )
    clock = Clock()
    for page_id in ids:
        assert store.store(page_id) is not None
    taken = clock.taken(len(bodies) * SIZE)
    with engine().connect() as connection:
        query = text(f"SELECT sum({count}) FROM sync_pages WHERE run_id = :run")
        assert connection.execute(query, {"run": run}).scalar() == len(bodies) * SIZE
    return taken


def landed(account: UUID, number: int) -> Taken:
    """Deliveries, each committed before the next."""
    with _raw() as connection:
        clock = Clock()
        for one in _deliveries(account, number):
            assert land(connection, one).fresh
        return clock.taken(number)


def landed_keyed(account: UUID, number: int) -> Taken:
    with _raw() as connection:
        connection.execute("DROP TABLE IF EXISTS tried_logs, tried_keys; DROP SEQUENCE IF EXISTS tried_ids")
        connection.execute("CREATE SEQUENCE tried_ids START 110000001")
        connection.execute(
            "CREATE TABLE tried_keys (dedup_key bytea PRIMARY KEY,"
            " delivery_id bigint NOT NULL DEFAULT nextval('tried_ids'))"
        )
        connection.execute(
            "CREATE TABLE tried_logs (LIKE webhook_logs INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id)"
        )
        connection.execute("ALTER TABLE tried_logs ADD FOREIGN KEY (account_id) REFERENCES provider_configs")
        for query in connection.execute(
            "SELECT replace(pg_get_indexdef(indexrelid), 'webhook_logs ', 'tried_logs ') FROM pg_index"
            " WHERE indrelid = 'webhook_logs'::regclass AND NOT indisunique"
        ).fetchall():
            connection.execute(query[0].replace("INDEX ix_", "INDEX tried_"))
        for place in range(12):
            bounds = f"FROM ({place * partitions.SPAN}) TO ({(place + 1) * partitions.SPAN})"
            connection.execute(f"CREATE TABLE tried_logs_{place} PARTITION OF tried_logs FOR VALUES {bounds}")
        clock = Clock()
        for one in _deliveries(account, number):
            values = (one.dedup_key, one.account_id, one.provider, one.event_type, one.content_type, one.body)
            connection.execute(_KEYED, values)
        return clock.taken(number)


def _deliveries(account: UUID, number: int) -> Iterator[Delivery]:
    salt = os.urandom(8).hex()
    for place in range(number):
        body = b'{"call_uuid":"%s-%d","notes":"%s"}' % (salt.encode(), place, b"n" * 1100)
        yield Delivery(
            account_id=account,
            provider=PROVIDER,
            event_type="completed",
            content_type="application/json",
            query="",
            body=body,
            verified=True,
        )


def _raw() -> psycopg.Connection[Any]:
    return psycopg.connect(config.settings().database_url or "", autocommit=True)


if __name__ == "__main__":
    main()
