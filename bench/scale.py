"""More processes on one machine, another broker, and what a record costs: the figures of `docs/scaling.md`.

    python -m bench.scale [--records 25000] [--rounds 1] [--seconds 10] [--workers 1,2,4] [--brokers valkey,rabbitmq]

Each way runs in a home of its own: a full sync with so many fetch processes (of the Procfile's threads) and so many
store processes, over Valkey or over RabbitMQ's quorum queues (where Debian's `rabbitmq-server` is installed); then
deliveries as fast as they are accepted, with the Procfile's processes. No figure counts before every id was found.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import orjson
from sqlalchemy import text

from bench import arrival, full_sync, rabbit, stack
from bench.costs import WORKING, Costs, Meter
from bench.pages import serving
from bench.receiver import add_account, await_server
from bench.report import Report, table
from bench.sending import flood
from bench.usage import Usage, Watch
from calltrack import config
from calltrack.db.session import engine
from calltrack.embedded.ports import free_port
from calltrack.embedded.procfile import ROOT, commands
from calltrack.embedded.supervise import Supervisor

WORKERS, BROKERS = (1, 2, 4), ("valkey", "rabbitmq")
#: what the model reckons for: calls a second
AIM = 10_000
PAGE_SIZE = 1000
CONNECTIONS = 16
#: seconds between looks at the processes: each costs as much as some records
STEP = 5.0
#: records per second: whoever is slower than this stands still
SLOWEST = 50
SYNC, DELIVERIES = "sync", "webhooks"

_IDS = text("SELECT external_id FROM calls")


@dataclass(frozen=True)
class Way:
    """What is measured."""

    work: str
    workers: int = 2
    broker: str = "valkey"

    def __str__(self) -> str:
        return f"{self.work}, {self.workers} workers, {self.broker}"


@dataclass(frozen=True)
class Measured:
    """What it did, and what it cost."""

    way: Way
    records: int
    costs: Costs

    @property
    def rate(self) -> float:
        return self.records / self.costs.seconds

    def cpu(self, kind: str) -> float:
        """CPU milliseconds per record, of all processes of this kind."""
        return 1000 * sum(used.cpu for name, used in self.costs.usage.items() if kind_of(name) == kind) / self.records


def kind_of(name: str) -> str:
    """fetch1, fetch2 → fetch."""
    return name.rstrip("0123456789")


# ── one way, in a process of its own ─────────────────────────────────────────────────────────────────────────────


def measure(way: Way, records: int, seconds: float) -> Measured:
    """Do the work in a new home, with everything fresh."""
    os.environ["PORT"] = str(free_port())
    with stack.home(arrival.POSTGRES), _broker(way.broker) as pids:
        return _sync(way, records, pids) if way.work == SYNC else _deliveries(way, seconds, pids)


@contextmanager
def _broker(name: str) -> Iterator[dict[str, int]]:
    """The broker's process id, by kind. Valkey runs in any case: it has the budgets."""
    with rabbit.serving() if name == "rabbitmq" else nullcontext() as found:
        if found is not None:
            os.environ["CELERY_BROKER_URL"] = found[0]
            config.settings.cache_clear()
        yield {} if found is None else {"RabbitMQ": found[1]}


def _sync(way: Way, records: int, pids: Mapping[str, int]) -> Measured:
    with serving(records) as provider, stack.workers(others=processes(way.workers)) as running:
        full_sync.account(provider.url, page_size=PAGE_SIZE)
        stack.settle()
        with _meter(running, pids) as meter:
            took = full_sync.seconds(full_sync.finished(full_sync.begin(), records, SLOWEST))
        _check(provider.ids)
        return Measured(way, records, meter.costs(took))


def _deliveries(way: Way, seconds: float, pids: Mapping[str, int]) -> Measured:
    add_account()
    with stack.workers(("web", "control", "beat"), processes(way.workers)) as running:
        await_server(config.settings().port)
        asyncio.run(flood(config.settings().port, CONNECTIONS, 1.0))
        arrival.drained()
        stack.forget()
        with _meter(running, pids) as meter:
            tally = asyncio.run(flood(config.settings().port, CONNECTIONS, seconds))
            arrival.drained()
        arrivals = arrival.await_all(tally)
        return Measured(way, len(tally.accepted), meter.costs(len(tally.accepted) / arrivals.rate))


def processes(number: int) -> dict[str, str]:
    """So many fetch processes and one store worker with so many processes of its own, after the Procfile."""
    known = commands()
    fetch = {f"fetch{one}": known["fetch"].replace("-n fetch@", f"-n fetch{one}@") for one in range(1, number + 1)}
    store = re.sub(r"--concurrency \d+", f"--concurrency {number}", known["store"])
    return {**fetch, "store": store, "control": known["control"]}


def _meter(running: Supervisor, pids: Mapping[str, int]) -> Meter:
    return Meter(Watch({**stack.pids(running), **stack.servers(), **pids}, STEP))


def _check(wanted: frozenset[str]) -> None:
    with engine().connect() as connection:
        stored = list(connection.execute(_IDS).scalars())
    if set(stored) != wanted or len(stored) != len(wanted):
        sys.exit(f"{len(wanted - set(stored))} calls are missing of {len(wanted)}: no time is worth telling.")


# ── all ways ─────────────────────────────────────────────────────────────────────────────────────────────────────


def run(
    records: int, rounds: int, seconds: float, workers: Sequence[int] = WORKERS, brokers: Sequence[str] = BROKERS
) -> Report:
    """All ways in turn, round after round."""
    ways = _ways(workers, [broker for broker in brokers if _usable(broker)])
    found: dict[Way, list[Measured]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            found[way].append(_apart(way, records, seconds))
            _tell(found[way][-1])
    medians = {way: sorted(several, key=lambda one: one.rate)[len(several) // 2] for way, several in found.items()}
    noise = max(one.costs.others for several in found.values() for one in several)
    about = f"{records:,} calls in pages of {PAGE_SIZE}, medians of {rounds}; others took up to {noise:.0%} of the CPUs"
    data = {str(way): [asdict(one) for one in several] for way, several in found.items()}
    return Report("scale", about, _tables(list(medians.values())), data)


def _ways(workers: Sequence[int], brokers: Sequence[str]) -> list[Way]:
    counts = {BROKERS[0]: workers}
    syncs = [Way(SYNC, number, broker) for broker in brokers for number in counts.get(broker, (2,))]
    return [*syncs, *(Way(DELIVERIES, 2, broker) for broker in brokers)]


def _usable(broker: str) -> bool:
    if broker != "rabbitmq" or rabbit.installed():
        return True
    print("RabbitMQ is left out: Debian's rabbitmq-server is not installed (apt-get install rabbitmq-server).")
    return False


def _apart(way: Way, records: int, seconds: float) -> Measured:
    """Measured in another process: Celery's settings are read once."""
    asked = [f"--work={way.work}", f"--workers={way.workers}", f"--brokers={way.broker}", f"--records={records}"]
    command = [sys.executable, "-m", "bench.scale", *asked, f"--seconds={seconds}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"{way} failed.")
    told = orjson.loads(done.stdout.splitlines()[-1])
    costs = told["costs"]
    costs["usage"] = {name: Usage(**used) for name, used in costs["usage"].items()}
    return Measured(way, told["records"], Costs(**costs))


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────


def _tell(one: Measured) -> None:
    waits = ", ".join(f"{name} {share:.0%}" for name, share in list(one.costs.waits.items())[:4])
    print(f"{one.way!s:32}{one.rate:8,.0f}/s   others took {one.costs.others:.0%}   backends: {waits}", flush=True)


def _tables(found: Sequence[Measured]) -> list[str]:
    return [_rates(found), _waits(found), _per_record(found), _model(found)]


def _kinds(found: Sequence[Measured]) -> list[str]:
    return list(dict.fromkeys(kind_of(name) for one in found for name in one.costs.usage))


def _rates(found: Sequence[Measured]) -> str:
    """Records a second, and CPU milliseconds per record by kind of process."""
    kinds = _kinds(found)
    header = ["CPU ms per record", "records/s", *kinds]
    lines = [[str(one.way), f"{one.rate:,.0f}", *(f"{one.cpu(kind):.3f}" for kind in kinds)] for one in found]
    return table(header, lines)


def _waits(found: Sequence[Measured]) -> str:
    """What active backends of Postgres did."""
    total = {name: max(one.costs.waits.get(name, 0.0) for one in found) for one in found for name in one.costs.waits}
    names = [name for name, most in sorted(total.items(), key=lambda pair: -pair[1]) if most >= 0.01 or name == WORKING]
    header = ["active backends", *names]
    return table(
        header, [[str(one.way), *(f"{one.costs.waits.get(name, 0.0):.0%}" for name in names)] for one in found]
    )


#: what is counted → how it is told: its name, and how many of it are one
COUNTED = {
    "wal": ("bytes of WAL", 1.0),
    "disk": ("bytes on disk", 1.0),
    "commits": ("commits per 1,000", 0.001),
    "commands": ("commands of Valkey per 1,000", 0.001),
}


def _per_record(found: Sequence[Measured]) -> str:
    header = ["per record", *(name for name, _ in COUNTED.values())]
    lines = [
        [str(one.way), *(f"{one.costs.counts[key] / one.records / part:,.0f}" for key, (_, part) in COUNTED.items())]
        for one in found
    ]
    return table(header, lines)


def _model(found: Sequence[Measured]) -> str:
    """What so many calls a second take, reckoned from what one took: by pages, and by deliveries."""
    works = {
        work: [one for one in found if one.way.work == work and one.way.broker == BROKERS[0]]
        for work in (SYNC, DELIVERIES)
    }
    lines = [
        _reckoned(f"cores: {kind}", works, lambda one, kind=kind: one.cpu(kind) * AIM / 1000) for kind in _kinds(found)
    ]  # type: ignore[misc]
    lines.append(_reckoned("MB/s of WAL", works, lambda one: one.costs.counts["wal"] / one.records * AIM / 2**20))
    lines.append(_reckoned("commits/s", works, lambda one: one.costs.counts["commits"] / one.records * AIM))
    lines.append(_reckoned("commands/s of Valkey", works, lambda one: one.costs.counts["commands"] / one.records * AIM))
    lines.append(
        _reckoned("GB of disk a day", works, lambda one: one.costs.counts["disk"] / one.records * AIM * 86400 / 2**30)
    )
    return table([f"at {AIM:,} calls/s", "by pages", "by deliveries"], lines)


def _reckoned(name: str, works: Mapping[str, Sequence[Measured]], reckon: Callable[[Measured], float]) -> list[str]:
    values = [[reckon(one) for one in several] for several in works.values()]
    return [name, *(f"{median(several):,.1f}" if several else "" for several in values)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", default=",".join(map(str, WORKERS)), help="how many of each, in turn")
    parser.add_argument("--brokers", default=",".join(BROKERS), help="valkey, rabbitmq, or both")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a flood of deliveries")
    parser.add_argument("--work", choices=(SYNC, DELIVERIES), help="only this, and print it as JSON")
    args = parser.parse_args()
    workers = [int(number) for number in args.workers.split(",")]
    if args.work is None:
        print(run(args.records, args.rounds, args.seconds, workers, args.brokers.split(",")))
        return
    measured: Any = measure(Way(args.work, workers[0], args.brokers), args.records, args.seconds)
    print(orjson.dumps(asdict(measured)).decode())


if __name__ == "__main__":
    main()
