"""Looking up calls: with the cache and without, many readers of one cold call, and the queries that are used most.

    python -m bench.lookup [--rows 100000] [--rate 200] [--seconds 30] [--threads 8] [--known 5000] [--readers 1000]

`calls` is filled evenly over 90 days, at three accounts; the merge's books and the provider's record are as large as
real ones. Readers ask at a steady pace, by our ids and by the provider's in turn, for the newest calls, and for some of
them more often than for others. Meanwhile a writer changes ten of them a second, as storing a page does: an answer that
is older than what Postgres had said right before it ends the benchmark. A reader that falls behind the pace does not
wait: its time counts from when it should have asked.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bench import stack
from calltrack import lookup
from calltrack.db.session import driver, engine
from calltrack.lookup import fence, read
from calltrack.lookup.cache import cache
from calltrack.model import call_id

PROVIDER = "acme"
NAMES = ("default", "east", "west")
#: processes in which the readers of one cold call sit
PROCESSES = 4
#: rows filled in one statement
CHUNK = 100_000
#: calls changed in one transaction, as by a page, and the seconds between two of them
CHANGED, PAUSE = 10, 1.0
#: of so many answers one is held against Postgres
CHECKED = 50

_ACCOUNT = text("""
INSERT INTO provider_configs (provider_type, name, api_url, credentials)
VALUES (:provider, :name, 'http://127.0.0.1', '') RETURNING id
""")
_STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS numbered (n bigint, id uuid, account_id uuid); TRUNCATE numbered"
_FILL = """
INSERT INTO calls (id, account_id, provider, external_id, status, direction, tracking_number, caller_number,
    primary_phone, campaign_id, campaign_name, publisher, buyer, agent_name, lead_id, disposition, started_at,
    answered_at, ended_at, duration_seconds, talk_seconds, revenue, payout, cost, converted, recording_url, tags,
    metadata, provider_data, provider_updated_at, observations, content_digest)
SELECT id, account_id, 'acme', 'E' || n,
    (ARRAY['completed', 'completed', 'completed', 'completed', 'no_answer', 'busy', 'voicemail', 'failed'])[1 + n %% 8],
    'inbound', '+1720555' || lpad((n %% 200)::text, 4, '0'), '+1212' || lpad((n %% 700000)::text, 7, '0'),
    '+1212' || lpad((n %% 700000)::text, 7, '0'), 'c' || n %% 17, 'Campaign ' || n %% 17, 'pub-' || n %% 41,
    'buyer ' || n %% 23, CASE WHEN n %% 4 = 0 THEN 'Agent ' || n %% 50 END,
    CASE WHEN n %% 4 = 0 THEN 'lead-' || n / 4 END,
    CASE WHEN n %% 3 = 0 THEN 'sale' END, at, at + interval '12 s', at + interval '200 s', 0, 188,
    CASE WHEN n %% 3 = 0 THEN 25 + n %% 40 END, CASE WHEN n %% 3 = 0 THEN 17.5 END, 0.1, n %% 3 = 0,
    'https://recordings.example.com/' || md5(n::text), CASE WHEN n %% 10 = 0 THEN ARRAY['vip'] END,
    '{"caller_zip": "28379", "caller_state": "NC", "caller_city": "Rockingham", "hung_up_by": "caller"}',
    jsonb_build_object('uuid', n, 'rest', repeat(md5(n::text), 30)), at + interval '210 s',
    jsonb_build_array(jsonb_build_array(3, 1795220189288543, 3, 1, md5(n::text))), decode(md5(n::text), 'hex')
FROM (SELECT *, now() - n * (interval '90 days' / %s) AS at FROM numbered) dated ORDER BY n DESC
"""
_CHANGE = text("""
UPDATE calls SET duration_seconds = duration_seconds + 1, updated_at = now(), last_synced_at = now()
WHERE id = ANY(:ids)
""")
_VERSION = text("SELECT duration_seconds FROM calls WHERE id = :id")

#: the queries that are used most: what they are for → SQL
QUERIES = {
    "by our id": "SELECT * FROM calls WHERE id = :id",
    "by the provider's id, at an account": """
        SELECT * FROM calls WHERE account_id = :account AND external_id = :external""",
    "by the provider's id, at any account": "SELECT * FROM calls WHERE provider = 'acme' AND external_id = :external",
    "an account's newest 50 of a week": """
        SELECT * FROM calls WHERE account_id = :account AND started_at >= now() - interval '7 days'
        ORDER BY started_at DESC LIMIT 50""",
    "page 20 of these, from where page 19 ended": """
        SELECT * FROM calls WHERE account_id = :account AND started_at < now() - interval '2 days'
        ORDER BY started_at DESC LIMIT 50""",
    "an account's newest 50 that failed": """
        SELECT * FROM calls WHERE account_id = :account AND status = 'failed' ORDER BY started_at DESC LIMIT 50""",
    "all accounts' newest 50": "SELECT * FROM calls ORDER BY started_at DESC NULLS LAST LIMIT 50",
    "an agent's newest 50": "SELECT * FROM calls WHERE agent_name = 'Agent 8' ORDER BY started_at DESC LIMIT 50",
    "of a lead": "SELECT * FROM calls WHERE lead_id = 'lead-77'",
    "with a tag, newest 50": "SELECT * FROM calls WHERE tags @> '{vip}' ORDER BY started_at DESC LIMIT 50",
    "from a caller's number": "SELECT * FROM calls WHERE caller_number = :caller ORDER BY started_at DESC LIMIT 50",
    "from a caller's number, at an account, of a week": """
        SELECT * FROM calls WHERE account_id = :account AND caller_number = :caller
        AND started_at >= now() - interval '7 days' ORDER BY started_at DESC LIMIT 50""",
    "an account's calls and revenue per day, of a week": """
        SELECT started_at::date AS day, count(*), sum(revenue) FROM calls
        WHERE account_id = :account AND started_at >= now() - interval '7 days' GROUP BY 1""",
}


@dataclass(frozen=True)
class Known:
    """A call that is asked for."""

    id: UUID
    external_id: str
    account: str


def fill(rows: int) -> list[UUID]:
    """So many calls, the newest one first; the ids of their accounts."""
    with engine().begin() as connection:
        accounts = [connection.scalar(_ACCOUNT, {"provider": PROVIDER, "name": name}) for name in NAMES]
    for first in range(0, rows, CHUNK):
        with engine().begin() as connection, driver(connection).cursor() as cursor:
            cursor.execute(_STAGE)
            with cursor.copy("COPY numbered FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "uuid", "uuid"])
                for n in range(first, min(first + CHUNK, rows)):
                    account = accounts[n % len(accounts)]
                    copy.write_row((n, call_id(account, f"E{n}"), account))
            cursor.execute(_FILL, [rows])
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE calls"))
    return accounts


def known(accounts: Sequence[UUID], number: int) -> list[Known]:
    """The newest calls, so many."""
    at = [n % len(accounts) for n in range(number)]
    return [Known(call_id(accounts[place], f"E{n}"), f"E{n}", NAMES[place]) for n, place in enumerate(at)]


@contextmanager
def changing(calls: Sequence[Known]) -> Iterator[list[float]]:
    """A writer, until the end of the block. Gives the seconds that each of its transactions took."""
    done, took, chance = threading.Event(), [], random.Random(1)

    def write() -> None:
        while not done.wait(PAUSE):
            ids = sorted(call.id for call in chance.sample(calls, CHANGED))
            began = time.perf_counter()
            with engine().begin() as connection:
                connection.execute(_CHANGE, {"ids": ids})
                fence.changing(driver(connection).cursor(), ids)
            took.append(time.perf_counter() - began)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield took
    finally:
        done.set()
        writer.join()


def ask(calls: Sequence[Known], rate: int, seconds: float, threads: int) -> list[float]:
    """Seconds from when each question should have been asked to its answer."""
    start = time.perf_counter() + 0.2

    def reader(number: int) -> list[float]:
        chance, took = random.Random(number), []
        for turn in range(number, int(rate * seconds), threads):
            due = start + turn / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            call = calls[min(int(chance.paretovariate(0.5)), len(calls)) - 1]
            if turn % CHECKED:
                found = by_either_id(call, turn)
                took.append(time.perf_counter() - due)
            else:
                found = checked(call, turn)
            assert found.id == call.id
        return took

    with ThreadPoolExecutor(threads) as side:
        return [span for spans in side.map(reader, range(threads)) for span in spans]


def by_either_id(call: Known, turn: int) -> lookup.Call:
    found = lookup.call(call.id) if turn % 2 else lookup.by_external_id(PROVIDER, call.external_id, call.account)
    assert found is not None
    return found


def checked(call: Known, turn: int) -> lookup.Call:
    with engine().connect() as connection:
        version = connection.scalar(_VERSION, {"id": call.id})
    found = by_either_id(call, turn)
    if found.duration_seconds < version:
        raise SystemExit(f"The cache gave version {found.duration_seconds} of a call, after Postgres gave {version}.")
    return found


def lookups(calls: Sequence[Known], rate: int, seconds: float, threads: int) -> None:
    """Print how long lookups take, through the cache and without one."""
    print(f"lookups at {rate}/s, {threads} threads, {len(calls):,} calls known, {CHANGED} changed a second:")
    for name, without in (("through the cache", False), ("without a cache", True)):
        with unplugged(without), changing(calls) as writes:
            took = ask(calls, rate, seconds, threads)
        hits = "" if without else f"   hit rate {lookup.stats().hit_rate:.1%}"
        print(f"    {name:18}  {percentiles(took)}   a change {statistics.median(writes) * 1000:.2f} ms{hits}")
    found = lookup.stats()
    print(f"    {found.entries:,} calls are kept, about {found.bytes / max(1, found.entries):,.0f} bytes each")


@contextmanager
def unplugged(without: bool) -> Iterator[None]:
    """As where no Redis is set."""
    plugged = read.cache, fence.cache
    if without:
        read.cache = fence.cache = lambda: None
    try:
        yield
    finally:
        read.cache, fence.cache = plugged


def percentiles(took: Sequence[float]) -> str:
    cuts = statistics.quantiles(took, n=100)
    told = (("p50", cuts[49]), ("p95", cuts[94]), ("p99", cuts[98]))
    return "   ".join(f"{name} {cut * 1000:5.2f} ms" for name, cut in told)


def costs(calls: Sequence[Known]) -> None:
    """Print what one lookup costs when nothing else happens, and what a fence costs a writer."""
    key, found = calls[0].id, cache()
    assert found is not None
    ids = [call.id for call in calls[:1000]]
    parts: Mapping[str, Callable[[], object]] = {
        "a hit": lambda: lookup.call(key),
        "a load from Postgres": lambda: read._load([key]),  # noqa: SLF001 - the part that is to be measured
        "fence and lift, 10 calls": lambda: (found.fence(ids[:10], "bench"), found.lift(ids[:10], "bench")),
        f"fence and lift, {len(ids):,} calls": lambda: (found.fence(ids, "bench"), found.lift(ids, "bench")),
    }
    lookup.call(key)
    print("one after another, medians:")
    for name, part in parts.items():
        print(f"    {name:30}  {statistics.median(timed(part) for _ in range(300)) * 1e6:7,.0f} µs")


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


def queries(call: Known, account: UUID, rows: int) -> None:
    """Print the queries that are used most: milliseconds, rows, pages of 8 kB, and how Postgres finds them."""
    given = {"id": call.id, "account": account, "external": call.external_id, "caller": "+12120000042"}
    print(f"queries at {rows:,} rows: the best of 3, rows, pages read, the plan")
    with engine().connect() as connection:
        for name, query in QUERIES.items():
            explain = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")
            plans = [connection.execute(explain, given).scalar_one()[0] for _ in range(3)]
            best = min(plans, key=lambda plan: plan["Execution Time"])
            top = best["Plan"]
            pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
            cost = f"{best['Execution Time']:9.2f} ms  {top['Actual Rows']:6,.0f}  {pages:8,}"
            print(f"    {name:50} {cost}   {' < '.join(steps(top))}")


def steps(node: Mapping[str, Any]) -> Iterator[str]:
    """The nodes of a plan, from the top."""
    index = f" {node['Index Name']}" if "Index Name" in node else ""
    yield f"{node['Node Type']}{index}"
    for inner in node.get("Plans", ()):
        yield from steps(inner)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lookup", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--known", type=int, default=5_000)
    parser.add_argument("--readers", type=int, default=1_000)
    args = parser.parse_args()
    with stack.home():
        accounts = fill(args.rows)
        calls = known(accounts, min(args.known, args.rows))
        lookups(calls, args.rate, args.seconds, args.threads)
        costs(calls)
        stampede(calls[-1].id, args.readers)
        queries(calls[42 % len(calls)], accounts[0], args.rows)


if __name__ == "__main__":
    main()
