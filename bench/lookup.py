"""Looking up calls: with the cache and without, and very many readers of one cold call.

    python -m bench.lookup [--rows 100000] [--rate 200] [--seconds 20] [--rounds 3] [--threads 8] [--known 5000]

Readers ask at a steady pace, by our ids and by the provider's in turn, for the newest calls, and for some of them more
often than for others. Meanwhile a writer changes ten of them a second, as storing a page does: an answer that is older
than a commit which had returned before ends the benchmark. A reader that falls behind the pace does not wait: its time
counts from when it should have asked.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bench import filled, stack
from calltrack import lookup
from calltrack.db.session import driver, engine
from calltrack.lookup import forget, read
from calltrack.lookup.cache import cache
from calltrack.model import call_id

#: processes in which the readers of one cold call sit
PROCESSES = 4
#: calls changed in one transaction, as by a page, and the seconds between two of them
CHANGED, PAUSE = 10, 1.0

_CHANGE = text("""
UPDATE calls SET duration_seconds = duration_seconds + 1, updated_at = now(), last_synced_at = now()
WHERE id = ANY(:ids) RETURNING id, duration_seconds
""")
_STAGE = "CREATE TEMPORARY TABLE asked (n bigint, rows bigint, id uuid, account_id uuid) ON COMMIT DROP"


@dataclass(frozen=True)
class Known:
    """A call that is asked for."""

    id: UUID
    external_id: str
    account: str


@dataclass
class Writer:
    """What was changed."""

    #: call → its version, once the commit has returned
    versions: dict[UUID, int] = field(default_factory=dict[UUID, int])
    #: seconds that each transaction took
    took: list[float] = field(default_factory=list[float])

    def change(self, ids: list[UUID]) -> None:
        """Change these calls, as storing a page does."""
        began = time.perf_counter()
        with engine().begin() as connection:
            changed = connection.execute(_CHANGE, {"ids": ids}).all()
            forget.after_commit(driver(connection).cursor(), ids)
        self.took.append(time.perf_counter() - began)
        self.versions.update((row.id, row.duration_seconds) for row in changed)


def add(accounts: Sequence[UUID], rows: int, number: int) -> list[Known]:
    """So many newest calls besides, with the ids that calltrack gives them."""
    names = list(filled.ACCOUNTS)
    known = []
    with engine().begin() as connection, driver(connection).cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy("COPY asked FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "int8", "uuid", "uuid"])
            for n in range(rows, rows + number):
                place = n % len(names)
                call = Known(call_id(accounts[place], f"E{n}"), f"E{n}", names[place])
                copy.write_row((n, rows, call.id, accounts[place]))
                known.append(call)
        cursor.execute(filled.insert("SELECT * FROM asked").encode())
    return known


@contextmanager
def changing(calls: Sequence[Known]) -> Iterator[Writer]:
    """A writer, until the end of the block."""
    done, chance, writer = threading.Event(), random.Random(1), Writer()

    def write() -> None:
        while not done.wait(PAUSE):
            writer.change(sorted(call.id for call in chance.sample(calls, CHANGED)))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield writer
    finally:
        done.set()
        thread.join()


def ask(calls: Sequence[Known], writer: Writer, args: argparse.Namespace) -> list[float]:
    """Seconds from when each question should have been asked to its answer."""
    start = time.perf_counter() + 0.2

    def reader(number: int) -> list[float]:
        chance, took = random.Random(number), []
        for turn in range(number, int(args.rate * args.seconds), args.threads):
            due = start + turn / args.rate
            time.sleep(max(0.0, due - time.perf_counter()))
            call = calls[min(int(chance.paretovariate(0.5)), len(calls)) - 1]
            version = writer.versions.get(call.id, 0)
            found = by_either_id(call, turn)
            took.append(time.perf_counter() - due)
            assert found.id == call.id
            if found.duration_seconds is None or found.duration_seconds < version:
                raise SystemExit(
                    f"A lookup gave version {found.duration_seconds} of a call, after {version} was written."
                )
        return took

    with ThreadPoolExecutor(args.threads) as side:
        return [span for spans in side.map(reader, range(args.threads)) for span in spans]


def by_either_id(call: Known, turn: int) -> lookup.Call:
    found = lookup.call(call.id) if turn % 2 else lookup.by_external_id(filled.PROVIDER, call.external_id, call.account)
    assert found is not None
    return found


def lookups(calls: Sequence[Known], args: argparse.Namespace) -> None:
    """Print how long lookups take, through the warmed cache and without one, in turns."""
    since = datetime.now(UTC) - timedelta(days=1)
    print(f"{args.rate} lookups a second of {len(calls):,} calls, {CHANGED} changed a second, {args.seconds:g} s each:")
    for _ in range(args.rounds):
        for name, without in (("through the cache", False), ("without a cache", True)):
            lookup.warm(since)
            load = os.getloadavg()[0]
            with unplugged(without), changing(calls) as writer:
                took = ask(calls, writer, args)
            changes = f"a change {statistics.median(writer.took) * 1000:.2f} ms"
            print(f"    {name:18}  {percentiles(took)}   {changes}   load before {load:.1f}", flush=True)
    found = lookup.stats()
    size = found.bytes / max(1, found.entries)
    print(f"    hit rate {found.hit_rate:.1%}; {found.entries:,} calls are kept, about {size:,.0f} bytes each")


@contextmanager
def unplugged(without: bool) -> Iterator[None]:
    """As where no Redis is set."""
    plugged = read.cache, forget.cache
    if without:
        read.cache = forget.cache = lambda: None
    try:
        yield
    finally:
        read.cache, forget.cache = plugged


def percentiles(took: Sequence[float]) -> str:
    cuts = statistics.quantiles(took, n=100)
    told = (("p50", cuts[49]), ("p95", cuts[94]), ("p99", cuts[98]))
    return "   ".join(f"{name} {cut * 1000:5.2f} ms" for name, cut in told)


def costs(calls: Sequence[Known]) -> None:
    """Print what one lookup costs this process, and what forgetting costs a writer, when nothing else happens."""
    known, found = calls[0], cache()
    assert found is not None
    ids = [call.id for call in calls[:1000]]
    parts: Mapping[str, Callable[[], object]] = {
        "a hit, by our id": lambda: lookup.call(known.id),
        "a hit, by the provider's id": lambda: lookup.by_external_id(filled.PROVIDER, known.external_id, known.account),
        "a load from Postgres": lambda: read._load([known.id]),  # noqa: SLF001 - the part that is to be measured
        "forgetting 1 call": lambda: found.forget(ids[:1]),
        "forgetting 100 calls": lambda: found.forget(ids[-100:]),
    }
    lookup.call(known.id)
    print("one after another: the time of one (median), and its CPU time in this process (mean):")
    for name, part in parts.items():
        before = time.process_time()
        took = [timed(part) for _ in range(1000)]
        spent = (time.process_time() - before) / len(took)
        print(f"    {name:30}  {statistics.median(took) * 1e6:7,.0f} µs  {spent * 1e6:7,.0f} µs of CPU")
        lookup.call(known.id)


def timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def stampede(key: UUID, readers: int) -> None:
    """Print how often Postgres is asked where very many ask for one call that is not in the cache."""
    lookup.clear()
    context = multiprocessing.get_context("spawn")
    each = readers // PROCESSES
    start, results = context.Barrier(PROCESSES + 1), context.SimpleQueue()
    workers = [context.Process(target=crowd, args=(key, each, start, results)) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    start.wait()
    told = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    loads, took = sum(loads for loads, _ in told), [span for _, spans in told for span in spans]
    assert len(took) == each * PROCESSES
    print(f"{each * PROCESSES:,} readers of one cold call, in {PROCESSES} processes: {loads} queries")
    print(f"    {percentiles(took)}   the last one after {max(took) * 1000:.0f} ms")


def crowd(key: UUID, readers: int, start: Any, results: Any) -> None:
    """One process full of readers: how often it asked Postgres, and the seconds until each had its answer."""
    loads, load = [], read._load  # noqa: SLF001 - the part that is to be counted
    load([UUID(int=0)])  # connects

    def counted(ids: Sequence[UUID]) -> dict[UUID, bytes]:
        loads.extend(ids)
        return load(ids)

    read._load = counted  # noqa: SLF001
    ready = threading.Barrier(readers + 1)
    took: list[float] = []

    def reader() -> None:
        ready.wait()
        took.append(timed(lambda: lookup.call(key)))

    threads = [threading.Thread(target=reader) for _ in range(readers)]
    for thread in threads:
        thread.start()
    start.wait()
    ready.wait()
    for thread in threads:
        thread.join()
    results.put((len(loads), took))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lookup", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--known", type=int, default=5_000)
    parser.add_argument("--readers", type=int, default=1_000)
    args = parser.parse_args()
    with stack.home(filled.QUICK):
        accounts = filled.accounts()
        filled.fill(accounts, args.rows)
        calls = add(accounts, args.rows, args.known)
        lookups(calls, args)
        costs(calls)
        stampede(calls[-1].id, args.readers)


if __name__ == "__main__":
    main()
