"""How quickly calls come into a table that holds many already: by pages, and by deliveries.

    python -m bench.large [--held 0,1000000,10000000] [--records 20000] [--rounds 3]

The table is filled as it stands after years (`bench/filled.py`). Then, round after round, the calls of a new account
are stored from landed pages of 1,000: for the first time, again with nothing changed, and again with every hundredth
changed. As many deliveries are landed, a commit each, and processed in full batches. All of it in one process, without
messages; fetching is not counted. A figure is told only if every call is there, once.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from uuid import UUID

from sqlalchemy import text

from bench import filled, full_sync, stack, sync, usage
from bench.pages import Provider, serving
from bench.receiver import add_account
from bench.sending import content, numbers
from bench.sides import fetch, pages, store_all
from calltrack import log
from calltrack.db.session import driver, engine
from calltrack.sync import deliveries, runs
from calltrack.sync.inbox import Delivery, land

PAGE = 1000
LANDED, PROCESSED = "deliveries, landed", "deliveries, processed"

_CALLS = text("SELECT count(*) FROM calls WHERE account_id = :account")


@dataclass(frozen=True)
class Took:
    """What a piece of work took: seconds, and CPU seconds of this process and of Postgres."""

    seconds: float
    process: float
    postgres: float


def took(work: Callable[[], object]) -> Took:
    """Do it, once the server has written down what it still had to."""
    stack.settle()
    with usage.Watch({"Postgres": usage.child("postgres")}) as watch:
        began, own = time.perf_counter(), time.process_time()
        work()
        seconds, own = time.perf_counter() - began, time.process_time() - own
    return Took(seconds, own, watch.usage["Postgres"].cpu)


def by_pages(provider: Provider, name: str) -> Iterator[tuple[str, Took]]:
    """The calls of a new account, three times."""
    place = sync.Place(provider, full_sync.account(provider.url, name=name, page_size=PAGE), PAGE)
    for situation, state in sync.situations(place):
        run_id, _ = runs.start(full_sync.PROVIDER, name, "full")
        fetch(pages(run_id, "pending"))
        yield f"pages, {situation}", took(partial(store_all, pages(run_id, "fetched")))
        sync.check_books(place, full_sync.run(run_id), situation)
        sync.check_calls(place, state)


def by_deliveries(account: UUID, number: int, there: int) -> Iterator[tuple[str, Took]]:
    """So many deliveries, of calls that nobody has heard of. `there`: how many calls the account has before."""
    bodies = [content(one) for one in islice(numbers, number)]
    yield LANDED, took(lambda: landing(account, bodies))
    yield PROCESSED, took(lambda: deliveries.drain(full_sync.PROVIDER, batches=number))
    check(account, there + number)


def landing(account: UUID, bodies: list[bytes]) -> None:
    """As the receiver does it: each by a prepared statement that commits."""
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        kept = driver(connection)
        for body in bodies:
            delivery = Delivery(
                account_id=account,
                provider=full_sync.PROVIDER,
                event_type="completed",
                content_type="application/json",
                query="",
                body=body,
                verified=True,
            )
            land(kept, delivery)


def check(account: UUID, number: int) -> None:
    with engine().connect() as connection:
        found = connection.execute(_CALLS, {"account": account}).scalar_one()
    if found != number:
        raise SystemExit(f"{found:,} calls instead of {number:,}: no time is worth telling.")


def measure(held: int, provider: Provider, rounds: int) -> dict[str, list[Took]]:
    """Every round at a table that held so many calls."""
    found: dict[str, list[Took]] = {}
    with stack.home({"max_wal_size": "8GB"}):
        filled.fill(filled.accounts(), held)
        account = add_account()
        for turn in range(rounds):
            number = len(provider.ids)
            for name, one in (*by_pages(provider, f"round-{turn}"), *by_deliveries(account, number, turn * number)):
                found.setdefault(name, []).append(one)
                print(line(f"round {turn + 1}", held, name, one, number), flush=True)
    return found


def line(which: str, held: int, name: str, one: Took, number: int) -> str:
    costs = f"{one.process / number * 1e6:5.0f} µs, Postgres {one.postgres / number * 1e6:5.0f} µs"
    return f"{which:8} {held:>10,} held   {name:22} {number / one.seconds:8,.0f}/s   {costs}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--held", default="0,1000000,10000000", help="calls that the table holds, in turn")
    parser.add_argument("--records", type=int, default=20_000, help="new calls of a round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    log.setup("json")
    with serving(args.records) as provider:
        found = {held: measure(held, provider, args.rounds) for held in map(int, args.held.split(","))}
    for name in next(iter(found.values())):
        for held, rounds in found.items():
            middle = [statistics.median(values) for values in zip(*map(_values, rounds[name]), strict=True)]
            print(line("median", held, name, Took(*middle), args.records))


def _values(one: Took) -> tuple[float, float, float]:
    return one.seconds, one.process, one.postgres


if __name__ == "__main__":
    main()
