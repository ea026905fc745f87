"""What each index of `calls` costs: CPU time and room, of those that are there and of some that are not.

    python -m bench.indexes [--rows 1000000] [--new 100000] [--rounds 3]

New calls are inserted as calltrack does it, in pages of 1,000, in the order of their ids. In turn one index is dropped,
or one more is there. Counted is the CPU time of the server's process that inserts, without that of its checkpoints;
then all is rolled back. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Mapping
from uuid import UUID

from psycopg import Cursor

from bench import backend, filled, stack
from calltrack.db.session import driver, engine

PAGE = 1000
#: no index more, and none less
AS_IT_IS = "as it is"
#: name → what could be made
CANDIDATES = {
    "account_id, caller_number, started_at": "(account_id, caller_number, started_at DESC)",
    "account_id, tracking_number, started_at": "(account_id, tracking_number, started_at DESC)",
    "started_at": "(started_at DESC)",
    "started_at (BRIN)": "USING brin (started_at)",
    "updated_at": "(updated_at)",
}
_PAGE = f"""
INSERT INTO calls ({filled.COLUMNS})
SELECT {filled.COLUMNS} FROM fresh WHERE page = %s ORDER BY id ON CONFLICT DO NOTHING
"""


def changes(cursor: Cursor) -> tuple[dict[str, str], dict[str, int]]:
    """What is tried: name → the statement that makes it so; and the bytes of the indexes that are there."""
    there = filled.indexes(cursor)
    dropped = {index.name: index.drop for index in there}
    made = {name: f"CREATE INDEX candidate ON calls {columns}" for name, columns in CANDIDATES.items()}
    return {AS_IT_IS: "SELECT 1", **dropped, **made}, {index.name: index.bytes for index in there}


def stage(cursor: Cursor, ids: list[UUID], rows: int, new: int) -> None:
    """The calls that are inserted in each try, in a table of their own."""
    cursor.execute("CREATE UNLOGGED TABLE fresh AS SELECT 0 AS page, calls.* FROM calls LIMIT 0")
    for first in range(rows, rows + new, PAGE):
        source = filled.numbered(ids, first, first + PAGE - 1, rows)
        cursor.execute(filled.insert(source, "fresh").encode())
        cursor.execute("UPDATE fresh SET page = %s WHERE page IS NULL", [first])
    cursor.execute("CREATE INDEX ON fresh (page)")


def seconds(change: str, pages: range) -> tuple[float, int]:
    """CPU seconds of inserting all pages after this change, and the bytes of the index that the change made."""
    with backend.undone("calls") as cursor:
        cursor.execute(change.encode())
        size = cursor.execute("SELECT coalesce(pg_relation_size(to_regclass('candidate')), 0)").fetchall()[0][0]
        before = backend.cpu(cursor)
        for page in pages:
            cursor.execute(_PAGE.encode(), [page])
        return backend.cpu(cursor) - before, size


def rounds(tries: Mapping[str, str], pages: range, number: int) -> tuple[dict[str, float], dict[str, int]]:
    """The median CPU seconds of each try, and the bytes of the indexes."""
    took: dict[str, list[float]] = {name: [] for name in tries}
    sizes: dict[str, int] = {}
    for turn in range(number):
        for name in random.Random(turn).sample(list(tries), len(tries)):
            spent, sizes[name] = seconds(tries[name], pages)
            took[name].append(spent)
    return {name: statistics.median(spans) for name, spans in took.items()}, sizes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.indexes", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with stack.home(filled.QUICK):
        ids = filled.accounts()
        filled.fill(ids, args.rows)
        with engine().begin() as connection, driver(connection).cursor() as cursor:
            stage(cursor, ids, args.rows, args.new)
            tries, sizes = changes(cursor)
        took, made = rounds(tries, range(args.rows, args.rows + args.new, PAGE), args.rounds)
    base = took.pop(AS_IT_IS)
    print(f"{args.new:,} new calls into {args.rows:,}: {base:.2f} CPU s; of these, or (+) besides, for an index:")
    for name, spent in took.items():
        size = sizes.get(name, made[name]) / args.rows
        tell(
            ("+ " if name in CANDIDATES else "  ") + name,
            spent - base if name in CANDIDATES else base - spent,
            base,
            size,
        )


def tell(name: str, cost: float, base: float, size: float) -> None:
    print(f"{name:42} {cost:5.2f} CPU s {cost / base:6.1%} {size:5.1f} bytes a call")


if __name__ == "__main__":
    main()
