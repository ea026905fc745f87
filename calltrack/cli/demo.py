"""`calltrack demo`: the main job before your eyes, on simulated providers, in a database of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

import click
from rich.console import Console

from calltrack import accounts, config
from calltrack.accounts.seed import blanked
from calltrack.cli import tally, up, watch
from calltrack.db import migrate
from calltrack.db.session import engine
from calltrack.embedded.lock import alone_in
from calltrack.embedded.ports import answers, free_port
from calltrack.embedded.procfile import ROOT, commands
from calltrack.embedded.servers import Servers
from calltrack.embedded.supervise import Supervisor
from calltrack.errors import FixConfiguration
from calltrack.sync import runs
from calltrack.sync.connections import vault
from simulator import DEMO, Simulator, World
from simulator.letters import Mix
from simulator.senders import Sent, send

SECRET = "the-secret-of-the-demo"  # noqa: S105 - guards made-up webhooks on this machine
#: more than the providers really allow, so that nobody has to wait for a budget
RATE_LIMIT = "20/second"
#: of the deliveries: repeated ones, forged ones, and those about calls that the API does not list
MIX = Mix(duplicates=0.1, forged=0.1, out_of_order=True, unlisted=0.1)
#: seconds
PATIENCE = 60.0
LOOK = 0.1

console = Console(stderr=True, highlight=False)


@click.command()
@click.option("--keep", is_flag=True, help="Stay up afterwards, until Ctrl-C.")
@click.option("--records", default=5000, show_default=True, help="Calls at each provider.")
@click.option("--webhooks", default=500, show_default=True, help="Deliveries, shared between the providers.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same calls.")
def demo(keep: bool, records: int, webhooks: int, seed: int) -> None:
    """Start everything, sync simulated providers, send webhooks, and count every call. Exit code 0: all is there."""
    fine = False
    world = World(seed=seed, records=records)
    with up.stoppable() as hurry, Simulator(world, habits=DEMO) as sim, _system(hurry) as supervisor:
        names = list(sim.stand_ins)
        _add_accounts(sim, names)
        _wait_for_workers(supervisor)
        _say(f"Syncing {records:,} calls from each of {', '.join(names)} …")
        _sync(names, "full")
        _say(f"Sending {webhooks} webhooks: some twice, some out of order, some forged …")
        sent = {name: _send(sim, name, webhooks // len(names), seed) for name in names}
        _wait_for_deliveries()
        _say("Syncing what is new or changed since …")
        _sync(names, "incremental")
        tallies = [tally.count(sim, name, sent[name]) for name in names]
        Console().print(tally.table(tallies))
        fine = _judge(tallies)
        _tell_places(keep)
        if keep:
            supervisor.wait()
    sys.exit(0 if fine else 1)


@contextmanager
def _system(hurry: Event) -> Iterator[Supervisor]:
    """The whole system in a home of its own: nothing that the environment names is touched."""
    _hide_environment()
    found = config.settings()
    start = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(alone_in(found.home))
        _say("Starting Postgres and Valkey …")
        servers = stack.enter_context(Servers(found, alone=True, report=_say))
        migrate.downgrade(engine())
        migrate.upgrade(engine())
        log = stack.enter_context((found.home / "log").open("w"))
        _say(f"Starting the receiver, workers, beat and Flower … (they write to {os.path.relpath(log.name)})")
        environ = up.child_environ(servers.settings)
        supervisor = stack.enter_context(Supervisor(commands(), environ, ROOT, output=log, hurry=hurry))
        yield supervisor
        _say("Stopping …")
    _say(f"Done in {time.monotonic() - start:.0f} s.")


def _hide_environment() -> None:
    """Settings of a real system, and provider variables, are not for the demo."""
    found = config.settings()
    os.environ.update(blanked())
    os.environ["CALLTRACK_HOME"] = str(found.home / "demo")
    os.environ["PORT"] = str(free_port(found.port))
    os.environ["FLOWER_PORT"] = str(free_port(found.flower_port))
    config.settings.cache_clear()


def _add_accounts(sim: Simulator, names: list[str]) -> None:
    for name in names:
        with engine().begin() as connection:
            accounts.add(
                connection,
                vault(),
                name,
                api_url=sim.url(name),
                values=sim.credentials(name),
                webhook_secrets=[SECRET],
                rate_limits=[RATE_LIMIT],
            )


def _wait_for_workers(supervisor: Supervisor) -> None:
    """Until the receiver and Flower answer, and the workers of all kinds have joined."""
    from tasks import app  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    found = config.settings()
    wanted = {"fetch", "store", "control"}
    deadline = time.monotonic() + PATIENCE
    while True:
        joined = {name.partition("@")[0] for reply in app.control.ping(timeout=1.0) for name in reply}
        if wanted <= joined and answers(found.port) and answers(found.flower_port):
            return
        if time.monotonic() > deadline or supervisor.wait(LOOK):
            raise FixConfiguration(f"The system did not start: see {found.home / 'log'}.")


def _sync(names: list[str], mode: str) -> None:
    from tasks.hints import send as send_hints  # noqa: PLC0415 - as above

    started = []
    for name in names:
        run_id, hints = runs.start(name, None, mode)
        send_hints(hints)
        started.append(run_id)
    for run in watch.follow(started):
        if run["status"] != "completed":
            raise FixConfiguration(f"{run['provider']} run {run['run_id']} {run['status']}: {run['error']}")


def _send(sim: Simulator, name: str, number: int, seed: int) -> Sent:
    url = f"http://127.0.0.1:{config.settings().port}/webhooks/{name}"
    return send(sim.world, name, url, number, SECRET, mix=MIX, seed=seed)


def _wait_for_deliveries() -> None:
    """Until every delivery that was let in has been processed."""
    deadline = time.monotonic() + PATIENCE
    while waiting := tally.waiting():
        if time.monotonic() > deadline:
            raise FixConfiguration(f"{waiting} deliveries were not processed within {PATIENCE:.0f} s.")
        time.sleep(LOOK)


def _judge(tallies: list[tally.Tally]) -> bool:
    faults = [fault for one in tallies for fault in one.faults()]
    for fault in faults:
        console.print(f"[red]{fault}")
    console.print("[red]The numbers do not add up." if faults else "[green]Every call is there, once.")
    return not faults


def _tell_places(keep: bool) -> None:
    found = config.settings()
    home = os.path.relpath(found.home)
    for line in (
        f"Webhooks: http://127.0.0.1:{found.port}/webhooks/<provider>",
        f"Flower:   http://127.0.0.1:{found.flower_port}",
        f'Database: psql "$(CALLTRACK_HOME={home} .venv/bin/calltrack env DATABASE_URL)"',
        "Stop with Ctrl-C." if keep else "They go down now; `make demo KEEP=1` stays up.",
    ):
        console.print(line, soft_wrap=True)


def _say(line: str) -> None:
    console.print(line, soft_wrap=True)
