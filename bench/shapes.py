"""What shape a large `calls` should have: one table, partitions by a hash of the id, or partitions by time.

    python -m bench.shapes [--rows 1000000] [--new 100000] [--rounds 3]

The same calls stand in all three, with the same indexes; what no index over partitions can keep unique is kept by none
there. In turns, new calls are inserted and calls that are there are changed, in pages of 1,000 as calltrack does it:
also with another time, as providers correct it. Told are CPU seconds of the server's process for 100,000 calls (all is
rolled back), and the best milliseconds of some queries. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Cursor
from sqlalchemy import text

from bench import backend, filled, report, stack
from bench.indexes import PAGE, stage
from calltrack.db.session import driver, engine

ONE, HASHED, TIMED = "calls", "calls_by_hash", "calls_by_time"
SHAPES = {ONE: "one table", HASHED: "16 partitions by id", TIMED: "37 partitions by time"}
#: for how many calls CPU seconds are told
PER = 100_000
TRIES = 20

INSERT = "INSERT INTO {table} ({columns}) SELECT {columns} FROM fresh WHERE page = %(page)s ORDER BY id"
LOCK = "SELECT id, content_digest FROM {table} WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE"
CHANGE = "UPDATE {table} SET revenue = coalesce(revenue, 0) + 1 WHERE id = ANY(%(ids)s)"
CORRECT = "UPDATE {table} SET started_at = started_at - interval '40 days' WHERE id = ANY(%(ids)s)"
#: a page's statements
WORKS: Mapping[str, Sequence[str]] = {
    "new calls": [INSERT],
    "changed calls": [LOCK, CHANGE],
    "calls whose time is corrected": [LOCK, CORRECT],
}
QUERIES = {
    "by its id": "SELECT * FROM {table} WHERE id = %(id)s",
    "by the provider's id": "SELECT * FROM {table} WHERE account_id = %(account)s AND external_id = 'E4711'",
    "newest 50 of an account": """
        SELECT * FROM {table} WHERE account_id = %(account)s ORDER BY started_at DESC LIMIT 50""",
    "a day's calls of an account": """
        SELECT * FROM {table} WHERE account_id = %(account)s
          AND started_at >= now() - interval '100 days' AND started_at < now() - interval '99 days'""",
    "newest 50 of a caller": """
        SELECT * FROM {table} WHERE caller_number = '+12120004711' ORDER BY started_at DESC LIMIT 50""",
}
#: calls of all times
_SOME = text("SELECT id FROM calls WHERE hashtext(id::text) % :apart = 0 LIMIT :most")
_LIKE = "CREATE TABLE {table} (LIKE calls INCLUDING DEFAULTS) PARTITION BY {key};"
_HASHED = "CREATE TABLE {table}_{n} PARTITION OF {table} FOR VALUES WITH (MODULUS 16, REMAINDER {n});"
_TIMED = """
CREATE TABLE {table}_{n} PARTITION OF {table} FOR VALUES FROM ('{year}-{month:02}-01') TO ('{next}-{after:02}-01');
"""


def partitions() -> Iterator[str]:
    """Statements that make the two partitioned tables, still empty and without indexes."""
    yield _LIKE.format(table=HASHED, key="HASH (id)")
    yield from (_HASHED.format(table=HASHED, n=n) for n in range(16))
    yield _LIKE.format(table=TIMED, key="RANGE (started_at)")
    now = time.gmtime()
    yield f"CREATE TABLE {TIMED}_rest PARTITION OF {TIMED} DEFAULT"
    for n in range(-4, filled.YEARS * 12 - 4):  # new calls come after those of the years
        begin, end = (now.tm_year * 12 + now.tm_mon - 1 - n + ahead for ahead in (0, 1))
        months = {"year": begin // 12, "month": begin % 12 + 1, "next": end // 12, "after": end % 12 + 1}
        yield _TIMED.format(table=TIMED, n=n + 4, **months)


def build(cursor: Cursor) -> None:
    """Both of them, with the calls of `calls` and its indexes."""
    for statement in partitions():
        cursor.execute(statement.encode())
    found = filled.indexes(cursor)
    for table in (HASHED, TIMED):
        cursor.execute(f"INSERT INTO {table} SELECT * FROM calls".encode())
        cursor.execute(f"CREATE {'UNIQUE ' if table == HASHED else ''}INDEX ON {table} (id)".encode())
        cursor.execute(f"CREATE INDEX ON {table} (account_id, external_id)".encode())
        for index in found:
            if index.make.startswith("CREATE INDEX"):
                _, columns = index.make.split(" USING ", 1)
                cursor.execute(f"CREATE INDEX ON {table} USING {columns}".encode())


def cpu(table: str, work: Sequence[str], pages: Sequence[Mapping[str, Any]]) -> float:
    """CPU seconds of the server's process for 100,000 calls of these pages."""
    statements = [statement.format(table=table, columns=filled.COLUMNS).encode() for statement in work]
    with backend.undone(table) as cursor:
        before = backend.cpu(cursor)
        for page in pages:
            for statement in statements:
                cursor.execute(statement, page, prepare=False)
        took = backend.cpu(cursor) - before
    return took * PER / (len(pages) * PAGE)


def best(table: str, query: str, values: Mapping[str, Any]) -> float:
    """Milliseconds of the query's best try, planned once."""
    statement = query.format(table=table).encode()
    with engine().connect() as connection, driver(connection).cursor() as cursor:
        return min(_milliseconds(cursor, statement, values) for _ in range(TRIES))


def _milliseconds(cursor: Cursor, statement: bytes, values: Mapping[str, Any]) -> float:
    began = time.perf_counter()
    cursor.execute(statement, values).fetchall()
    return 1e3 * (time.perf_counter() - began)


def pages(rows: int, new: int) -> dict[str, list[dict[str, Any]]]:
    """What the pages of each work are about. Calls that are there are anywhere in the table."""
    with engine().connect() as connection:
        there: list[UUID] = list(connection.execute(_SOME, {"apart": max(rows // new, 1), "most": new}).scalars())
    random.Random(0).shuffle(there)
    known = [{"ids": there[first : first + PAGE]} for first in range(0, len(there) - PAGE + 1, PAGE)]
    fresh = [{"page": first} for first in range(rows, rows + new, PAGE)]
    return {work: fresh if work == "new calls" else known for work in WORKS}


def measure(rows: int, new: int, rounds: int, ids: Sequence[UUID]) -> Iterator[tuple[str, str, float]]:
    """What was done, to which table, and what it took: the medians."""
    asked = pages(rows, new)
    for work, about in asked.items():
        took: dict[str, list[float]] = {table: [] for table in SHAPES}
        for turn in range(rounds):
            for table in random.Random(turn).sample(list(SHAPES), len(SHAPES)):
                took[table].append(cpu(table, WORKS[work], about))
        yield from ((f"{work}, CPU s", table, statistics.median(spent)) for table, spent in took.items())
    values = {"account": ids[0], "id": asked["changed calls"][0]["ids"][0]}
    for name, query in QUERIES.items():
        yield from ((f"{name}, ms", table, best(table, query, values)) for table in SHAPES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.shapes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with stack.home(filled.QUICK):
        ids = filled.accounts()
        filled.fill(ids, args.rows)
        with engine().begin() as connection, driver(connection).cursor() as cursor:
            stage(cursor, ids, args.rows, args.new)
            build(cursor)
        stack.maintain("VACUUM ANALYZE")
        for what, table, took in measure(args.rows, args.new, args.rounds, ids):
            found.setdefault(what, {})[table] = took
    print(f"{args.rows:,} calls; CPU s of the server for {PER:,} calls, ms of the best of {TRIES} tries")
    print(table_of(found))


def table_of(found: Mapping[str, Mapping[str, float]]) -> str:
    lines = [[what, *(f"{took[table]:,.2f}" for table in SHAPES)] for what, took in found.items()]
    return report.table(["", *SHAPES.values()], lines)


if __name__ == "__main__":
    main()
