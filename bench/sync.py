"""How many records a second get from a provider into Postgres, beside the loop that one writes by hand, and the peers.

Every way starts with empty tables and loads the same calls from the same local provider, and then again: unchanged, and
with one call in a hundred changed:

- the loop (`bench/loop.py`): one process;
- the pipeline: the Procfile's fetch, store and control processes, as `calltrack up` runs them, over the broker;
- the peers (`bench/peers`): dlt and Singer, in a database of their own on the same server;
- each side of the pipeline alone: one process that fetches every page, and then one that stores them all.

A time counts only when every id has been found where it belongs, none more and none less, what changed says so, and
calltrack's own books agree.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from bench import figures, full_sync, stack, stored
from bench.figures import PROVIDER, SITUATIONS, Load, Ways
from bench.pages import CHANGED, FIRST, Provider, serving
from bench.peers import room
from bench.peers.room import Peer, Room
from bench.report import Report
from bench.usage import Watch
from calltrack import config
from calltrack.db.session import engine
from calltrack.embedded.procfile import ROOT
from calltrack.sync import runs

PAGE_SIZES = (100, 1000)
#: above this part of the CPUs, others make the figures worthless: the way is gone once more, so often at most
NOISE = 0.05
TRIES = 3
WORKERS = ("fetch", "store", "control")
#: records per second: whoever is slower than this stands still
SLOWEST = 100
OUTCOMES = ("inserted", "updated", "unchanged", "rejected")

_CALLS = text("SELECT external_id, status, revenue, provider_updated_at FROM calls WHERE account_id = :account")


@dataclass(frozen=True)
class Place:
    """What is loaded from where, and to whom it belongs."""

    provider: Provider
    account: UUID
    page_size: int

    @property
    def name(self) -> str:
        return f"by-{self.page_size}"


#: loads the calls in each situation, and says how
Way = Callable[[Place], Iterator[tuple[str, Load]]]


def run(records: int, rounds: int, *, peers: bool = True) -> Report:
    """All ways in turn, round after round. `peers`: dlt and Singer among them, where they are installed."""
    compared = _installed() if peers else ()
    loads: dict[int, Ways] = {size: {} for size in PAGE_SIZES}
    with stack.home(), serving(records) as provider:
        places = [place_at(provider, size) for size in PAGE_SIZES]
        for turn in range(rounds):
            for place in places:
                for way, load in _round(place, compared):
                    loads[place.page_size].setdefault(way, []).append(load)
                    _tell(turn, place, way, load)
    return _report(records, rounds, loads, compared)


def place_at(provider: Provider, size: int) -> Place:
    return Place(provider, full_sync.account(provider.url, name=f"by-{size}", page_size=size), size)


def _installed() -> Sequence[Peer]:
    if room.READY.exists():
        return room.PEERS
    print("Without dlt and Singer, which are not installed: `make .venv-peers/ready` does it, or says why it can't.")
    return ()


def _round(place: Place, peers: Sequence[Peer]) -> Iterator[tuple[str, Load]]:
    everybody: list[Way] = [_loop, _pipeline, *(partial(_peer, peer) for peer in peers), _sides]
    for way in everybody:
        yield from _quiet(way, place)


def _quiet(way: Way, place: Place) -> Sequence[tuple[str, Load]]:
    """The way's loads, from the first time that others left the CPUs to it; if they never did, from the last."""
    for left in reversed(range(TRIES)):
        place.provider.show(FIRST)
        stack.empty()
        loads = list(way(place))
        others = max(load.others for _, load in loads)
        if others > NOISE and left:
            print(f"Others took {others:.0%} of the CPUs: once more from {loads[0][0]}.", flush=True)
        else:
            break
    return loads


# ── the ways ─────────────────────────────────────────────────────────────────────────────────────────────────────


def situations(place: Place, vacuum: Callable[[], None] = stack.vacuum) -> Iterator[tuple[str, int]]:
    """One after the other, with the state of the provider's calls in it. Between two syncs is a night: nothing waits.

    `vacuum`: where the calls go, if not into calltrack's own database.
    """
    for situation in SITUATIONS:
        state = CHANGED if situation == "changed" else FIRST
        place.provider.show(state)
        vacuum()
        stack.settle()
        yield situation, state


def _loop(place: Place) -> Iterator[tuple[str, Load]]:
    database = config.settings().database_url or ""
    command = ["bench.loop", database, place.provider.url, str(place.account), str(place.page_size)]
    for situation, state in situations(place):
        seconds, watch = _alone("loop", command, place)
        check_calls(place, state)
        yield f"loop, {situation}", _load(place, seconds, watch)


def _pipeline(place: Place) -> Iterator[tuple[str, Load]]:
    with stack.workers(WORKERS) as supervisor:
        for situation, state in situations(place):
            with watching(place, stack.pids(supervisor)) as watch:
                done = full_sync.finished(full_sync.begin(place.name), len(place.provider.ids), SLOWEST)
            check_books(place, done, situation)
            check_calls(place, state)
            yield f"pipeline, {situation}", _load(place, full_sync.seconds(done), watch)


def _peer(peer: Peer, place: Place) -> Iterator[tuple[str, Load]]:
    with room.vacant() as work:
        command = [*peer.command, work.url, place.provider.url, str(place.page_size)]
        for situation, state in situations(place, work.vacuum):
            seconds, watch = _alone(peer.name, command, place, work)
            stored.check(place.provider, state, work.calls(peer), stored.AS_SAID)
            yield f"{peer.name}, {situation}", _load(place, seconds, watch)


def _sides(place: Place) -> Iterator[tuple[str, Load]]:
    run_id, _ = runs.start("retreaver", place.name, "full")
    for side in ("fetch", "store"):
        stack.settle()
        seconds, watch = _alone(side, ["bench.sides", side, str(run_id)], place)
        yield f"{side} alone", _load(place, seconds, watch)
    check_books(place, full_sync.run(run_id), "first load")
    check_calls(place, FIRST)


def _alone(kind: str, command: list[str], place: Place, work: Room | None = None) -> tuple[float, Watch]:
    """Run one of our modules in a process of its own, or a peer in its room. Returns the seconds it says it took."""
    python, directory, environ = (room.PYTHON, work.folder, work.environ) if work else (sys.executable, ROOT, None)
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with (
        stack.log_file().open("a") as log,
        subprocess.Popen([python, "-m", *command], cwd=directory, env=environ, stderr=log, **piped) as process,
    ):
        if not process.stdout.readline():  # it is ready: what it took to get there is nobody's business
            raise SystemExit(_failed(kind))
        with watching(place, {kind: process.pid}) as watch:
            process.stdin.write(b"go\n")
            said = process.stdout.readline()
        process.stdin.close()
    if process.returncode or not said:
        raise SystemExit(_failed(kind))
    return float(orjson.loads(said)["seconds"]), watch


def _failed(kind: str) -> str:
    return f"{kind} failed. Its last words:\n{stack.last_words()}"


@contextmanager
def watching(place: Place, pids: Mapping[str, int]) -> Iterator[Watch]:
    with Watch({**pids, **stack.servers(), PROVIDER: place.provider.pid}) as watch:
        yield watch


# ── what counts ──────────────────────────────────────────────────────────────────────────────────────────────────


def check_books(place: Place, run: Mapping[str, Any], situation: str) -> None:
    """Every call came to the end that it should, but for the few at the edge of a slice, which are read twice."""
    wanted, changes = len(place.provider.ids), len(place.provider.changes)
    expected = {
        "first load": {"inserted": wanted},
        "unchanged": {"unchanged": wanted},
        "changed": {"updated": changes, "unchanged": wanted - changes},
    }[situation]
    again = run["fetched"] - wanted
    short = any(run[outcome] < number for outcome, number in expected.items())
    unexpected = sum(run[outcome] for outcome in OUTCOMES) - wanted
    if run["state"] != "completed" or short or not 0 <= again < 10 or unexpected > again:
        raise SystemExit(f"The run's books are wrong: {dict(run)}")


def check_calls(place: Place, state: int) -> None:
    with engine().connect() as connection:
        rows = connection.execute(_CALLS, {"account": place.account}).tuples().all()
    stored.check(place.provider, state, rows, stored.OURS)


def _load(place: Place, seconds: float, watch: Watch) -> Load:
    records = len(place.provider.ids)
    return Load(records, records / seconds, watch.usage, watch.others)


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────


def _tell(turn: int, place: Place, way: str, load: Load) -> None:
    busy = f"   others took {load.others:.0%} of the CPUs" if load.others > NOISE else ""
    print(f"round {turn + 1}   pages of {place.page_size:<5} {way:24}{load.rate:9,.0f} records/s{busy}", flush=True)


def _report(records: int, rounds: int, loads: Mapping[int, Ways], peers: Sequence[Peer]) -> Report:
    about = (
        f"{records:,} calls of 1.2 KB, medians of {rounds}; others took up to {figures.noise(loads):.0%} of the CPUs"
    )
    if peers:
        about += f"; {room.versions()}"
    return Report("sync", about, figures.tables(loads), figures.data(loads))
