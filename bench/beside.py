"""How long an account's small sync takes beside another account's large one, at the same provider.

    python -m bench.beside [--records 120000] [--page-size 100] [--rounds 3]

Both go through the same queues. The small one reads the last hours: alone, and in the middle of the large one, when
pages of that have been waiting for a while.
"""

from __future__ import annotations

import argparse
import statistics
from datetime import UTC, datetime, timedelta

from bench import full_sync, stack, sync
from bench.pages import FIRST, Provider, serving

SMALL = "small"
#: what the small one reads
RANGE = timedelta(hours=3)
#: the middle is where so much of the large one is stored
MIDDLE = 0.3


def measure(provider: Provider, size: int) -> tuple[float, float]:
    """Seconds that the small sync takes alone, and beside the large one."""
    stack.empty_of_accounts()
    place = sync.place_at(provider, size)
    full_sync.account(provider.url, page_size=size, name=SMALL)
    provider.show(FIRST)
    with stack.workers(sync.WORKERS):
        alone = _small()
        large = full_sync.begin(place.name)
        middle = MIDDLE * len(provider.ids)
        full_sync.once(lambda found: found["inserted"] >= middle, large, len(provider.ids), sync.SLOWEST)
        beside = _small()
        if full_sync.run(large)["state"] != "running":
            raise SystemExit("The large sync was over before the small one: take more --records.")
        full_sync.finished(large, len(provider.ids), sync.SLOWEST)
    return alone, beside


def _small() -> float:
    until = datetime.now(UTC)
    return full_sync.seconds(full_sync.finished(full_sync.begin(SMALL, until - RANGE, until), 1, 0.01))


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
