"""Webhooks at work: from receipt to the queryable row, under every load that was asked for.

    python -m bench.load [--rounds 3] [--seconds 10] [--burst 60] [--idle 30] [--only flood …]

The receiver, workers and beat of the Procfile run; they, the senders and the servers share the machine. Each delivery
is sent at its moment, however long answers take, and its time runs from that moment to the commit of its call's row. A
figure is told only if every accepted delivery has its call, each found by its id.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from bench import arrival, full_sync, stack
from bench.arrival import Arrivals
from bench.pages import serving
from bench.receiver import APPS, add_account, await_server, receiver
from bench.report import Report, table
from bench.sending import SECRET, Tally, flood, pace
from bench.usage import Watch
from calltrack import config
from calltrack.embedded.ports import free_port
from calltrack.embedded.supervise import Supervisor
from calltrack.sync import runs

#: deliveries a second, in turn
RATES = (50, 200, 500, 1000)
#: what the spec asks for: 1,000 and 500 a minute
SPEC = (1000 / 60, 500 / 60)
#: the steady pace under a burst, and how many times as much the burst is
BASE, TIMES = 100, 10
#: seconds of it before and after the burst
LEAD = 10.0
#: the pace beside a backfill
BESIDE = 200
CONNECTIONS = 16
SENDERS = "the senders"
#: seconds between looks at the processes: each costs as much as some deliveries
STEP = 5.0
#: with a backfill and without one, so that nothing but the load differs
PROCESSES = ("web", "fetch", "store", "control", "beat")
USUAL = {"usual": "celery --quiet -A bench.usual_receiver:celery worker -n usual@%h --pool prefork --concurrency 2 "
         "--without-gossip --without-mingle --without-heartbeat --loglevel WARNING"}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a load did."""

    name: str
    #: accepted of what was sent in a second, whenever it was answered; processed in a second
    accepted: float = 0.0
    processed: float = 0.0
    #: milliseconds to the answer (50 and 99 of 100), and to the row (50, 99 and all of 100)
    answer: tuple[float, ...] = ()
    row: tuple[float, ...] = ()
    refused: int = 0
    #: CPU seconds per second, by process
    busy: Mapping[str, float] = field(default_factory=dict)
    #: the part of the machine's CPU time that went to others
    others: float = 0.0
    #: what else there is to tell
    more: Mapping[str, float] = field(default_factory=dict)


class Load:
    """The running system, and loads to put on it."""

    def __init__(
        self,
        supervisor: Supervisor,
        others: Mapping[str, int] | None = None,
        await_all: Callable[[Tally], Arrivals] = arrival.await_all,
    ) -> None:
        """`others`: processes besides the supervisor's and the servers, by kind."""
        self._supervisor = supervisor
        self._others = others or {}
        self._await_all = await_all

    def pace(self, name: str, *stages: tuple[float, float]) -> tuple[Seen, Arrivals]:
        """So many deliveries a second for so many seconds, stage after stage."""
        seconds = sum(seconds for _, seconds in stages)
        return self.run(name, lambda: asyncio.run(pace(config.settings().port, stages)), seconds)

    def run(self, name: str, send: Callable[[], Tally], seconds: float) -> tuple[Seen, Arrivals]:
        """Send for so many seconds, wait until all is there, and look for every one of them."""
        stack.forget()
        began, own = time.monotonic(), time.process_time()
        with self.watch() as watch:
            tally = send()
            sent = time.process_time() - own
            arrivals = self._await_all(tally)
            took = time.monotonic() - began
        return _seen(name, tally, arrivals, seconds, {SENDERS: sent / took, **_busy(watch, took)}, watch), arrivals

    def settle(self, name: str, tally: Tally, seconds: float) -> Seen:
        """Wait until all that was sent before is there."""
        began = time.monotonic()
        with self.watch() as watch:
            arrivals = self._await_all(tally)
            took = time.monotonic() - began
        first, last = arrivals.committed()
        seen = _seen(name, tally, arrivals, seconds, _busy(watch, took), watch)
        return replace(seen, processed=len(tally.accepted) / (last - first), row=())

    def nothing(self, seconds: float) -> Seen:
        """What all of it takes while nothing is to be done."""
        with self.watch() as watch:
            time.sleep(seconds)
        return Seen("nothing", busy=_busy(watch, seconds), others=watch.others)

    def watch(self) -> Watch:
        return Watch({**stack.pids(self._supervisor), **self._others, **stack.servers()}, STEP)


def _busy(watch: Watch, seconds: float) -> dict[str, float]:
    return {kind: used.cpu / seconds for kind, used in watch.usage.items()}


def _seen(name: str, tally: Tally, arrivals: Arrivals, seconds: float, busy: Mapping[str, float], watch: Watch) -> Seen:
    return Seen(
        name,
        len(tally.accepted) / seconds,
        arrivals.rate,
        tuple(tally.milliseconds(50, 99)),
        arrivals.milliseconds(),
        tally.others.total(),
        busy,
        watch.others,
    )


@contextmanager
def system() -> Iterator[Load]:
    """The processes of the Procfile, until the end of the block."""
    with stack.workers(PROCESSES) as supervisor:
        await_server(config.settings().port)
        yield Load(supervisor)


# ── the loads ────────────────────────────────────────────────────────────────────────────────────────────────────


def steady(load: Load, args: argparse.Namespace) -> Iterator[Seen]:
    for _ in range(args.rounds):
        for rate in map(float, args.rates.split(",")):
            yield load.pace(f"{rate:g}/s", (rate, args.seconds))[0]


def as_the_spec_says(load: Load, args: argparse.Namespace) -> Iterator[Seen]:
    for rate in SPEC:
        yield load.pace(f"{rate * 60:,.0f}/min", (rate, args.idle))[0]
    yield load.nothing(args.idle)


def burst(load: Load, args: argparse.Namespace) -> Iterator[Seen]:
    """A steady pace, a multiple of it for a while, and the steady pace again."""
    name, calm = f"{args.base}/s, {TIMES} times that for {args.burst:g} s", (args.base, LEAD)
    seen, arrivals = load.pace(name, calm, (TIMES * args.base, args.burst), calm)
    end = arrivals.moments[0][0] + LEAD + args.burst
    waiting = {
        "most waiting": arrivals.most_waiting(),
        "waiting when the burst ends": arrivals.waiting(end),
        "seconds to work that off": arrivals.worked_off(end),
    }
    yield replace(seen, more=waiting)


def beside_a_backfill(load: Load, args: argparse.Namespace) -> Iterator[Seen]:
    """The same pace alone, and while a full sync of another account runs."""
    yield load.pace(f"{BESIDE}/s alone", (BESIDE, args.seconds))[0]
    with serving(args.records) as provider:
        full_sync.account(provider.url, name="backfill", page_size=1000)

        def both() -> Tally:
            run_id = full_sync.begin("backfill")
            tally = asyncio.run(pace(config.settings().port, [(BESIDE, args.seconds)]))
            fetched.append(_stop_backfill(run_id))
            return tally

        fetched: list[int] = []
        seen, _ = load.run(f"{BESIDE}/s beside a backfill", both, args.seconds)
        yield replace(seen, more={"records the backfill stored meanwhile": fetched[0]})


def _stop_backfill(run_id: int) -> int:
    """How many records it stored until now."""
    run = full_sync.run(run_id)
    if run["state"] == "failed":
        sys.exit(f"The backfill failed: {run['error']}")
    if run["state"] == "completed":
        print("The backfill was complete before the deliveries were: give it more --records.")
    else:
        runs.cancel_run(run_id)
    return int(run["fetched"])


FLOOD = "flood"
LOADS: dict[str, Callable[[Load, argparse.Namespace], Iterator[Seen]]] = {
    "steady": steady,
    "spec": as_the_spec_says,
    "burst": burst,
    "backfill": beside_a_backfill,
}


def flooded(args: argparse.Namespace) -> Iterator[Seen]:
    """As fast as deliveries are accepted: calltrack and the usual design, and the workers of both by themselves."""
    for _ in range(args.rounds):
        with system() as load:
            yield load.run("calltrack, flooded", lambda: _flood(args), args.seconds)[0]
        yield backlog(args)
        yield from usual(args)


def _flood(args: argparse.Namespace) -> Tally:
    return asyncio.run(flood(config.settings().port, CONNECTIONS, args.seconds))


def backlog(args: argparse.Namespace) -> Seen:
    """What waits is processed while nothing comes in."""
    stack.forget()
    with stack.workers(("web",)):
        await_server(config.settings().port)
        tally = _flood(args)
    with stack.workers(("store", "control", "beat")) as supervisor:
        return Load(supervisor).settle("calltrack, a backlog", tally, args.seconds)


def usual(args: argparse.Namespace) -> Iterator[Seen]:
    """The usual design, flooded as calltrack is, and its backlog."""
    variables = {"BENCH_SECRET": SECRET, "BENCH_ACCOUNT": args.account}
    os.environ.update(variables)
    config.settings.cache_clear()
    port = free_port()

    def send() -> Tally:
        return asyncio.run(flood(port, CONNECTIONS, args.seconds))

    with stack.workers(others=USUAL) as supervisor, receiver(APPS["usual"], variables, port) as pid:
        yield Load(supervisor, {"web": pid}, arrival.await_rows).run("usual, flooded", send, args.seconds)[0]
    stack.forget()
    with receiver(APPS["usual"], variables, port):
        tally = send()
    with stack.workers(others=USUAL, messages=True) as supervisor:
        yield Load(supervisor, await_all=arrival.await_rows).settle("usual, a backlog", tally, args.seconds)


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────


def tell(seen: Seen) -> None:
    busy = "  ".join(f"{kind} {share:.0%}" for kind, share in seen.busy.items())
    more = "  ".join(f"{name} {value:,.1f}" for name, value in seen.more.items())
    times = [f"{value:,.0f}" for value in (*seen.answer, *seen.row)]
    print(
        f"{seen.name:34} sent {seen.accepted:6,.0f}/s  processed {seen.processed:6,.0f}/s  refused {seen.refused}  "
        f"ms {' '.join(times)}  others took {seen.others:.0%}\n    {busy}  {more}",
        flush=True,
    )


def _rows(found: Sequence[Seen]) -> str:
    header = [
        "deliveries",
        "sent/s",
        "processed/s",
        "refused",
        "answer p50, ms",
        "p99",
        "row p50, ms",
        "p99",
        "most",
    ]
    return table(header, [_line(seen) for seen in found if seen.processed])


def _line(seen: Seen) -> list[str]:
    times = [f"{value:,.0f}" for value in (*seen.answer, *seen.row)] + [""] * (3 - len(seen.row))
    return [seen.name, f"{seen.accepted:,.0f}", f"{seen.processed:,.0f}", str(seen.refused), *times]


def _shares(found: Sequence[Seen]) -> str:
    kinds = list(dict.fromkeys(kind for seen in found for kind in seen.busy))
    header = ["CPU share, of one core", *(seen.name for seen in found)]
    return table(header, [[kind, *(f"{seen.busy.get(kind, 0.0):.1%}" for seen in found)] for kind in kinds])


def _more(found: Sequence[Seen]) -> list[str]:
    return [f"{seen.name}: " + ", ".join(f"{name} {value:,.1f}" for name, value in seen.more.items()) + "."
            for seen in found if seen.more]  # fmt: skip


def _medians(found: Sequence[Seen]) -> list[Seen]:
    """One of each name: the one whose rate of processing is in the middle."""
    by_name: dict[str, list[Seen]] = {}
    for seen in found:
        by_name.setdefault(seen.name, []).append(seen)
    return [sorted(several, key=lambda seen: seen.processed)[len(several) // 2] for several in by_name.values()]


def measure(args: argparse.Namespace) -> list[Seen]:
    """Every load that is asked for, one after the other."""
    wanted, found = args.only or [*LOADS, FLOOD], []
    os.environ["PORT"] = str(free_port())
    with stack.home(arrival.POSTGRES):
        args.account = str(add_account())
        for seen in _all(wanted, args):
            tell(seen)
            found.append(seen)
    return found


def _all(wanted: Sequence[str], args: argparse.Namespace) -> Iterator[Seen]:
    if set(wanted) & LOADS.keys():
        with system() as load:
            for name in wanted:
                if name in LOADS:
                    yield from LOADS[name](load, args)
    if FLOOD in wanted:
        yield from flooded(args)


def run(rounds: int, seconds: float, records: int) -> Report:
    """All loads, for the report. A burst is six times as long as a pace, so that it is a minute as a rule."""
    args = parser().parse_args([])
    times = {"rounds": rounds, "seconds": seconds, "idle": 3 * seconds, "burst": 6 * seconds, "records": records}
    return told(argparse.Namespace(**{**vars(args), **times}))


def told(args: argparse.Namespace) -> Report:
    """The loads that are asked for."""
    found = measure(args)
    medians, noise = _medians(found), max(seen.others for seen in found)
    about = (
        f"Receipt to row; floods and steady paces are medians of {args.rounds}; "
        f"others took up to {noise:.0%} of the CPUs"
    )
    watched = [seen for seen in medians if seen.busy]
    tables = [_rows(medians), *_more(medians), _shares(watched)]
    return Report("load", about, tables, {"loads": [asdict(seen) for seen in found]})


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.load", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--rates", default=",".join(map(str, RATES)), help="deliveries a second, in turn")
    made.add_argument("--seconds", type=float, default=10.0, help="of each pace, and of a flood")
    made.add_argument("--idle", type=float, default=30.0, help="seconds at the spec's pace")
    made.add_argument("--burst", type=float, default=60.0, help="seconds that it lasts")
    made.add_argument("--base", type=int, default=BASE, help="deliveries a second before and after the burst")
    made.add_argument("--records", type=int, default=100_000, help="of the backfill")
    made.add_argument("--rounds", type=int, default=1, help="of the steady paces and the floods, in turn")
    made.add_argument("--only", action="append", choices=[*LOADS, FLOOD], help="only this load; may be repeated")
    return made


def main() -> None:
    print(told(parser().parse_args()))


if __name__ == "__main__":
    main()
