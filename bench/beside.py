"""How long an account's small sync takes beside another account's large one, at the same provider.

    python -m bench.beside [--records 120000] [--page-size 100] [--rounds 3]

Both go through the same queues. The small one reads the last hours: alone, and in the middle of the large one, when
pages of that have been waiting for a while.
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from bench import full_sync, stack, sync
from bench.pages import FIRST, Provider, serving
from calltrack.db.session import engine
from calltrack.sync import runs

SMALL = "small"
#: what the small one reads
RANGE = timedelta(hours=3)
#: the middle is where so much of the large one is stored
MIDDLE = 0.3


def measure(provider: Provider, size: int) -> tuple[float, float]:
    """Seconds that the small sync takes alone, and beside the large one."""
    with engine().begin() as connection:  # with all that the last one left
        connection.execute(text("TRUNCATE provider_configs CASCADE"))
    stack.empty()
    place = sync.place_at(provider, size)
    full_sync.account(provider.url, page_size=size, name=SMALL)
    provider.show(FIRST)
    with stack.workers(sync.WORKERS):
        alone = _small()
        large = full_sync.begin(place.name)
        while full_sync.run(large)["inserted"] < MIDDLE * len(provider.ids):
            time.sleep(full_sync.LOOK)
        beside = _small()
        if full_sync.run(large)["state"] != "running":
            raise SystemExit("The large sync was over before the small one: take more --records.")
        full_sync.finished(large, len(provider.ids), sync.SLOWEST)
    return alone, beside


def _small() -> float:
    from tasks.hints import send  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    until = datetime.now(UTC)
    run_id, hints = runs.start(full_sync.PROVIDER, SMALL, "full", until - RANGE, until)
    send(hints)
    return full_sync.seconds(full_sync.finished(run_id, 1, 0.01))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.beside", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=120_000, help="calls of the large sync")
    parser.add_argument("--page-size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with stack.home(), serving(args.records) as provider:
        taken = [measure(provider, args.page_size) for _ in range(args.rounds)]
    alone, beside = (statistics.median(times) for times in zip(*taken, strict=True))
    print(f"alone {alone:.2f} s, beside {args.records:,} calls {beside:.2f} s (medians of {args.rounds})")


if __name__ == "__main__":
    main()
