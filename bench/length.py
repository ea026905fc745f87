"""Whether a long sync is as quick, and as small, at its end as at its beginning.

    python -m bench.length [--records 10000,100000,1000000] [--page-sizes 100,1000]

First loads of so many calls by the Procfile's processes, one after the other. Of each: records a second, those of each
tenth of its pages, and the memory of the largest process of each kind at ten moments. Every id is looked for.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sqlalchemy import text

from bench import full_sync, stack, sync
from bench.pages import FIRST, Provider, serving
from calltrack.db.session import engine

MOMENTS = 10

T = TypeVar("T")

#: seconds since the run began, and records, of each page in the order in which they were stored
_STORED = text("""
SELECT extract(epoch FROM page.stored_at - run.started_at)::float8, page.fetched
FROM sync_pages page JOIN sync_runs run ON run.id = page.run_id WHERE run.id = :run ORDER BY page.stored_at
""")


def measure(provider: Provider, size: int) -> None:
    """One first load, and what there is to tell of it."""
    stack.empty_of_accounts()
    place = sync.place_at(provider, size)
    provider.show(FIRST)
    with stack.workers(sync.WORKERS) as supervisor, sync.watching(place, stack.pids(supervisor)) as watch:
        done = full_sync.finished(full_sync.begin(place.name), len(provider.ids), sync.SLOWEST)
    sync.check_books(place, done, "first load")
    sync.check_calls(place, FIRST)
    number = len(provider.ids)
    print(f"{number:,} calls in pages of {size}: {number / full_sync.seconds(done):,.0f} records/s")
    print(f"    records/s, tenth by tenth: {_row(rates(int(done['id'])))}")
    tell(watch.curves)


def rates(run: int) -> list[float]:
    """Records a second of each tenth of the pages."""
    with engine().connect() as connection:
        stored = connection.execute(_STORED, {"run": run}).all()
    found, began = [], 0.0
    for tenth in _tenths(stored):
        ended = tenth[-1][0]
        found.append(sum(records for _, records in tenth) / (ended - began))
        began = ended
    return found


def tell(curves: Mapping[str, Sequence[float]]) -> None:
    for kind, curve in curves.items():
        if kind != sync.PROVIDER:
            print(f"    MB, {kind:10} {_row([statistics.median(tenth) for tenth in _tenths(curve)])}")


def _tenths(whole: Sequence[T]) -> list[Sequence[T]]:
    """The sequence in ten parts of one length, or in as many as it has things."""
    parts = min(MOMENTS, len(whole))
    return [whole[len(whole) * part // parts : len(whole) * (part + 1) // parts] for part in range(parts)]


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{value:6,.0f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.length", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", default="10000,100000,1000000", help="calls, in turn")
    parser.add_argument("--page-sizes", default="100,1000", help="in turn")
    args = parser.parse_args()
    with stack.home():
        for records in map(int, args.records.split(",")):
            with serving(records) as provider:
                for size in map(int, args.page_sizes.split(",")):
                    measure(provider, size)


if __name__ == "__main__":
    main()
