"""What partitions cost: new calls into tables that hold much already, plain ones and partitioned ones in turn.

    python -m bench.growth [--pages 1000] [--held 200000] [--partitions 0 12] [--rounds 3]

Pages of 100 Retreaver calls (1.2 KB each) are landed and stored one after the other in this process: the statements of
the running system, without Celery and HTTP. Two databases of one server are filled alike; 0 partitions: plain tables,
as they were before. Figures are CPU seconds of this process and of Postgres: other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psutil
from sqlalchemy import make_url, text

from bench import full_sync, records, stack, usage
from calltrack import config
from calltrack.client.answer import Answer
from calltrack.db import migrate, partitions
from calltrack.db.session import engine
from calltrack.db.tables import calls
from calltrack.sync import pull, runs, store

SIZE = 100
BEFORE = "015_retention"

_HOLD = """
INSERT INTO calls (id, account_id, provider, external_id, status, direction, caller_number, campaign_id, agent_name,
    started_at, ended_at, duration_seconds, revenue, provider_data, observations, content_digest)
SELECT gen_random_uuid(), :account, 'retreaver', 'held ' || n, 'completed', 'inbound', '+1212555' || n % 9999,
    'c' || n % 17, 'agent ' || n % 200, now() - n * interval '10 s', now() - n * interval '10 s', n % 600, n % 40,
    CAST(:record AS jsonb), '[[3, 1795220189288543, 3, 1, "32e59b9e"]]', decode(md5(CAST(n AS text)), 'hex')
FROM generate_series(1, :held) n;
"""
_EVENTS = """
INSERT INTO call_events (id, call_id, account_id, event)
SELECT n % :parts * CAST(:span AS bigint) + n, id, account_id, 'inserted'
FROM (SELECT row_number() OVER () AS n, id, account_id FROM calls) held
"""
_RUN = text("""
INSERT INTO sync_runs (account_id, provider, mode, axis, state, since, until, started_at)
VALUES (:account, 'retreaver', 'full', 'created', 'running', now(), now(), now()) RETURNING id
""")
_SLICE = text("INSERT INTO sync_slices (run_id, since, until) VALUES (:run, now(), now()) RETURNING id")
_PAGES = """
INSERT INTO sync_pages (id, run_id, slice_id, account_id, provider, number, cursor, state, body, body_digest, held,
    mapper_version, fetched_at, stored_at)
SELECT n % :parts * CAST(:span AS bigint) + n, :run, :slice, :account, 'retreaver', n, jsonb_build_object('page', n),
    'stored', decode(repeat(md5(CAST(n AS text)), 200), 'hex'), decode(md5(CAST(n AS text)), 'hex'), '', 1, now(), now()
FROM generate_series(1, :held / 20) n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1_000)
    parser.add_argument("--held", type=int, default=200_000, help="calls in the tables, and entries of the change log")
    parser.add_argument("--partitions", type=int, nargs="+", default=[0, 12])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with stack.home({"fsync": "off", "synchronous_commit": "off"}):  # the disk is the same for all
        server = config.settings().database_url or ""
        databases = {number: Database(server, number, args.held) for number in args.partitions}
        found: dict[int, list[float]] = {number: [] for number in databases}
        for turn in range(args.rounds):
            for number in list(databases)[:: -1 if turn % 2 else 1]:
                found[number].append(databases[number].load(args.pages))
                print(f"round {turn + 1}  {number:>3} partitions  {found[number][-1]:6.2f} CPU s", flush=True)
        for number, seconds in found.items():
            middle = statistics.median(seconds)
            each = f"{middle / args.pages / SIZE * 1e6:.0f} µs a call"
            ratio = middle / statistics.median(found[args.partitions[0]])
            print(f"median   {number:>3} partitions  {middle:6.2f} CPU s  {each}  {ratio:.3f}")


class Database:
    """One database, filled."""

    def __init__(self, server: str, number: int, held: int) -> None:
        self._url = make_url(server).set(database=f"tried_{number}").render_as_string(hide_password=False)
        self._round = 0
        stack.maintain(f"CREATE DATABASE tried_{number}")
        self._use()
        migrate.upgrade(engine(), "head" if number else BEFORE)
        _cut(number)
        self._account = full_sync.account()
        with engine().begin() as connection:
            for index in calls.indexes:  # of later steps, too: only the partitions differ
                index.create(connection, checkfirst=True)
            record = records.make(1, 1, datetime.now(UTC))[0].json.decode()
            values: dict[str, Any] = {"account": self._account, "record": record, "held": held}
            connection.execute(text(_HOLD), values)
            values |= {"parts": max(number, 1), "span": partitions.SPAN}
            values["run"] = connection.execute(_RUN, values).scalar_one()
            values["slice"] = connection.execute(_SLICE, values).scalar_one()
            connection.execute(text("UPDATE sync_runs SET state = 'completed'"))
            for statement in (_EVENTS, _PAGES):
                connection.execute(text(statement), values)
            for table in partitions.TABLES:
                first = max(number - 1, 0) * partitions.SPAN + 10 * held
                connection.execute(text(f"SELECT setval('{table}_id_seq', {first})"))
        stack.maintain("VACUUM ANALYZE")

    def _use(self) -> None:
        engine().dispose()
        os.environ["DATABASE_URL"] = self._url
        config.settings.cache_clear()
        engine.cache_clear()

    def load(self, pages: int) -> float:
        """Land and store so many pages of new calls. Returns CPU seconds."""
        self._use()
        self._round += 1
        made = [one.json for one in records.make(pages * SIZE, 30, datetime(2025, 7, 1, tzinfo=UTC))]
        mark = b'"uuid":"%04x' % self._round
        made = [one.replace(one[one.index(b'"uuid":"') :][:12], mark, 1) for one in made]
        bodies = [b"[" + b",".join(made[first : first + SIZE]) + b"]" for first in range(0, len(made), SIZE)]
        stack.maintain("CHECKPOINT")
        began = _cpu()
        inserted = _load(self._account, bodies)
        taken = _cpu() - began
        assert inserted == pages * SIZE, inserted
        return taken


class Canned:
    """Gives page after page."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._bodies = bodies
        self._given = 0

    def send(self, *_: object) -> Answer:
        self._given += 1
        more = {"Link": f'<http://provider/?page={self._given + 1}>; rel="next"'}
        return Answer(200, more if self._given < len(self._bodies) else {}, self._bodies[self._given - 1])


def _load(account: UUID, bodies: Sequence[bytes]) -> int:
    answers = Canned(bodies)
    pull.client_for = lambda _account: answers  # type: ignore[assignment,return-value]
    with engine().begin() as connection:
        run = connection.execute(_RUN, {"account": account}).scalar_one()
        slice_id = connection.execute(_SLICE, {"run": run}).scalar_one()
        page: int = runs.open_page(connection, run, slice_id, account, "retreaver", 1, {"page": 1})["id"]
    for _ in bodies:
        following = pull.fetch(page).hints
        assert store.store(page) is not None
        page = following[0].id if following else 0
    with engine().connect() as connection:
        return int(connection.execute(text("SELECT inserted FROM sync_runs WHERE id = :id"), {"id": run}).scalar_one())


def _cut(number: int) -> None:
    """So many partitions besides the one that is ahead."""
    with engine().begin() as connection:
        for table in partitions.TABLES if number else ():
            for place in range(2, number + 1):
                bounds = f"FROM ({place * partitions.SPAN}) TO ({(place + 1) * partitions.SPAN})"
                connection.execute(text(f"CREATE TABLE {table}_{place:05d} PARTITION OF {table} FOR VALUES {bounds}"))


def _cpu() -> float:
    """CPU seconds of this process and of Postgres, those that have ended included."""
    server = psutil.Process(usage.child("postgres"))
    times = [one.cpu_times() for one in (server, *server.children())]
    ended = server.cpu_times().children_user + server.cpu_times().children_system
    return time.process_time() + ended + sum(one.user + one.system for one in times)


if __name__ == "__main__":
    main()
