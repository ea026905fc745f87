"""How many records a second get from a provider into Postgres, beside the loop that one writes by hand.

Every way starts with empty tables and loads the same calls from the same local provider, and then again, unchanged:

- the loop (`bench/loop.py`): one process;
- the pipeline: the Procfile's fetch, store and control processes, as `calltrack up` runs them, over the broker;
- each side of it alone: one process that fetches every page, and then one that stores them all.

A time counts only when every id has been found in `calls`, none more and none less, and the run's own books agree.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from bench import stack, usage
from bench.pages import Provider, serving
from bench.report import Report, table
from bench.usage import Usage, Watch
from calltrack import accounts, config
from calltrack.db.session import engine
from calltrack.embedded.procfile import ROOT
from calltrack.sync import runs
from calltrack.sync.connections import vault

PAGE_SIZES = (100, 1000)
#: calls lie evenly in so many days before now: a full sync reads them in a few slices, some much longer than others
DAYS = 90.0
#: the provider is not the limit, and neither is a budget
RATE_LIMIT = "100000/second"
#: above this part of the CPUs, others make the figures worthless
NOISE = 0.05
LINES = {
    "loop, first load": "hand-written loop, first load",
    "pipeline, first load": "calltrack, first load",
    "loop, unchanged": "hand-written loop, again, nothing changed",
    "pipeline, unchanged": "calltrack, again, nothing changed",
    "fetch alone": "calltrack, fetching alone, one process",
    "store alone": "calltrack, storing alone, one process",
}
WORKERS = ("fetch", "store", "control")
PROVIDER = "the provider"
#: records per second: whoever is slower than this stands still
SLOWEST = 100
LOOK = 0.05

_RUN = text("SELECT * FROM sync_runs WHERE id = :id")
_IDS = text("SELECT external_id FROM calls WHERE account_id = :account")


@dataclass(frozen=True)
class Load:
    """One timed load."""

    #: records per second
    rate: float
    usage: Mapping[str, Usage] = field(default_factory=dict)
    #: the part of the machine's CPU time that went to others
    others: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds of everything but the provider."""
        return sum(one.cpu for kind, one in self.usage.items() if kind != PROVIDER)


@dataclass(frozen=True)
class Place:
    """What is loaded from where, and to whom it belongs."""

    provider: Provider
    account: UUID
    page_size: int

    @property
    def name(self) -> str:
        return f"by-{self.page_size}"


#: page size → way → its loads, one per round
Loads = dict[int, dict[str, list[Load]]]


def run(records: int, rounds: int) -> Report:
    """All ways in turn, round after round."""
    loads: Loads = {size: {} for size in PAGE_SIZES}
    with stack.home(), serving(records, DAYS, datetime.now(UTC)) as provider:
        places = [Place(provider, _account(provider, size), size) for size in PAGE_SIZES]
        for turn in range(rounds):
            for place in places:
                for way, load in _round(place):
                    loads[place.page_size].setdefault(way, []).append(load)
                    _tell(turn, place, way, load)
    return _report(records, rounds, loads)


def _round(place: Place) -> Iterator[tuple[str, Load]]:
    for ways in (_loop, _pipeline, _sides):
        stack.empty()
        yield from ways(place)


# ── the ways ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _loop(place: Place) -> Iterator[tuple[str, Load]]:
    for way in ("loop, first load", "loop, unchanged"):
        stack.settle()
        database = config.settings().database_url or ""
        command = ["bench.loop", database, place.provider.url, str(place.account), str(place.page_size)]
        seconds, watch = _alone("loop", command, place)
        _check_ids(place)
        yield way, _load(place, seconds, watch)


def _pipeline(place: Place) -> Iterator[tuple[str, Load]]:
    from tasks.hints import send  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    with stack.workers(WORKERS) as supervisor:
        for way, outcome in (("pipeline, first load", "inserted"), ("pipeline, unchanged", "unchanged")):
            stack.settle()
            pids = {name: state.pid for name, state in supervisor.states.items() if state.pid}
            with _watch(place, pids) as watch:
                run_id, hints = runs.start("retreaver", place.name, "full")
                send(hints)
                done = _wait_for(run_id, place)
            _check(place, done, outcome)
            yield way, _load(place, (done["finished_at"] - done["started_at"]).total_seconds(), watch)


def _sides(place: Place) -> Iterator[tuple[str, Load]]:
    run_id, _ = runs.start("retreaver", place.name, "full")
    for side in ("fetch", "store"):
        stack.settle()
        seconds, watch = _alone(side, ["bench.sides", side, str(run_id)], place)
        yield f"{side} alone", _load(place, seconds, watch)
    with engine().connect() as connection:
        _check(place, connection.execute(_RUN, {"id": run_id}).mappings().one(), "inserted")


def _alone(kind: str, command: list[str], place: Place) -> tuple[float, Watch]:
    """Run one of our modules in a process of its own. Returns the seconds that it says it took."""
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with (
        stack.log_file().open("a") as log,
        subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stderr=log, **piped) as process,
    ):
        process.stdout.readline()  # it is ready: what it took to get there is nobody's business
        with _watch(place, {kind: process.pid}) as watch:
            process.stdin.write(b"go\n")
            said = process.stdout.readline()
        process.stdin.close()
    if process.returncode or not said:
        raise SystemExit(f"{kind} failed. Its last words:\n{stack.last_words()}")
    return float(orjson.loads(said)["seconds"]), watch


@contextmanager
def _watch(place: Place, pids: Mapping[str, int]) -> Iterator[Watch]:
    servers = {"Postgres": usage.child("postgres"), "Valkey": usage.child("valkey-server")}
    with Watch({**pids, **servers, PROVIDER: place.provider.pid}) as watch:
        yield watch


# ── what counts ──────────────────────────────────────────────────────────────────────────────────────────────────


def _wait_for(run_id: int, place: Place) -> Mapping[str, Any]:
    deadline = time.monotonic() + 60 + len(place.provider.ids) / SLOWEST
    while True:
        with engine().connect() as connection:
            run = connection.execute(_RUN, {"id": run_id}).mappings().one()
        if run["state"] == "completed":
            return dict(run)
        if run["state"] != "running" or time.monotonic() > deadline:
            raise SystemExit(f"The run is {run['state']}: {run['error']}. Last words:\n{stack.last_words()}")
        time.sleep(LOOK)


def _check(place: Place, run: Mapping[str, Any], outcome: str) -> None:
    """The run's books: every call came to this end, but for the few at the edge of a slice, which are read twice."""
    wanted, again = len(place.provider.ids), run["fetched"] - len(place.provider.ids)
    unexpected = sum(run[name] for name in ("inserted", "updated", "unchanged", "rejected")) - run[outcome]
    if run["state"] != "completed" or run[outcome] < wanted or not 0 <= again < 10 or unexpected > again:
        raise SystemExit(f"The run's books are wrong: {dict(run)}")
    _check_ids(place)


def _check_ids(place: Place) -> None:
    with engine().connect() as connection:
        stored = connection.execute(_IDS, {"account": place.account}).scalars().all()
    missing, surplus = len(place.provider.ids - set(stored)), len(set(stored) - place.provider.ids)
    if missing or surplus or len(stored) != len(place.provider.ids):
        raise SystemExit(f"{missing} calls are missing, {surplus} too many: no time is worth telling.")


def _load(place: Place, seconds: float, watch: Watch) -> Load:
    return Load(len(place.provider.ids) / seconds, watch.usage, watch.others)


def _account(provider: Provider, page_size: int) -> UUID:
    with engine().begin() as connection:
        added = accounts.add(
            connection,
            vault(),
            "retreaver",
            name=f"by-{page_size}",
            api_url=provider.url,
            values={"api_key": "none", "page_size": str(page_size)},
            rate_limits=[RATE_LIMIT],
            scheduled=False,
        )
    return added.account.id


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────


def _tell(turn: int, place: Place, way: str, load: Load) -> None:
    busy = f"   others took {load.others:.0%} of the CPUs" if load.others > NOISE else ""
    print(f"round {turn + 1}   pages of {place.page_size:<5} {way:22}{load.rate:9,.0f} records/s{busy}", flush=True)


def _median(loads: list[Load]) -> Load:
    return sorted(loads, key=lambda load: load.rate)[len(loads) // 2]


def _report(records: int, rounds: int, loads: Loads) -> Report:
    medians = {size: {way: _median(found) for way, found in ways.items()} for size, ways in loads.items()}
    noise = max(load.others for ways in loads.values() for found in ways.values() for load in found)
    about = f"{records:,} calls of 1.2 KB, medians of {rounds}; others took up to {noise:.0%} of the CPUs"
    data = {
        str(size): {way: [asdict(load) for load in found] for way, found in ways.items()}
        for size, ways in loads.items()
    }
    return Report("sync", about, (_rates(medians), _usage(medians)), data)


def _rates(medians: dict[int, dict[str, Load]]) -> str:
    """Records per second, in brackets as so many times the hand-written loop's, and what they cost."""
    header = ["records/s (loop = 1)", *(name for size in medians for name in (f"pages of {size}", "CPU s"))]
    lines = [[LINES[way], *(cell for ways in medians.values() for cell in _rate(ways, way))] for way in LINES]
    return table(header, lines)


def _rate(ways: dict[str, Load], way: str) -> list[str]:
    load, peer = ways[way], ways["loop, unchanged" if way.endswith("unchanged") else "loop, first load"]
    return [f"{load.rate:,.0f} ({load.rate / peer.rate:.2f})", f"{load.cpu:.1f}"]


def _usage(medians: dict[int, dict[str, Load]]) -> str:
    """Of the pipeline's first load."""
    header = ["pipeline, first load"]
    columns = []
    for size, ways in medians.items():
        header += [f"CPU s, pages of {size}", "largest process, MB", "growth, MB"]
        columns.append(ways["pipeline, first load"].usage)
    lines = [[kind, *(cell for column in columns for cell in _cells(column[kind]))] for kind in columns[0]]
    return table(header, lines)


def _cells(usage: Usage) -> list[str]:
    return [f"{usage.cpu:.1f}", f"{usage.peak:.0f}", f"{usage.growth:+.0f}"]
