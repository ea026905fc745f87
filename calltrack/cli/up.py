"""`calltrack up`: the whole system, in the foreground."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event
from types import FrameType

import click

from calltrack import accounts, log, registry
from calltrack.accounts import rotation
from calltrack.accounts.seed import Seeded
from calltrack.config import Settings, settings
from calltrack.db import migrate
from calltrack.db.credentials import Vault
from calltrack.db.session import engine
from calltrack.embedded.lock import alone_in
from calltrack.embedded.ports import answers, is_free
from calltrack.embedded.procfile import ROOT, commands, environ
from calltrack.embedded.servers import Servers
from calltrack.embedded.supervise import Supervisor
from calltrack.errors import FixConfiguration

#: seconds: between looks whether the ports answer, and in which a second signal says nothing new
LOOK = 0.2
SAME_REQUEST = 1.0


@click.command()
def up() -> None:
    """Run the whole system in the foreground, until Ctrl-C.

    Starts Postgres and Valkey where no URL names them, upgrades the schema, sets up the accounts that the environment
    names, and runs the processes of the Procfile. What dies is started again; at the end all of it is stopped.
    """
    with stoppable() as hurry, system(hurry) as supervisor:
        announce(supervisor, settings())
        supervisor.wait()
    click.echo("Stopped.")


@contextmanager
def stoppable() -> Iterator[Event]:
    """A block that Ctrl-C, SIGTERM and a closed terminal end in good order and without an error.

    Gives an event, which is set when a person asks again.
    """
    asked: list[float] = []
    hurry = Event()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        asked.append(time.monotonic())
        if len(asked) == 1:
            raise KeyboardInterrupt
        # Terminals and wrappers like to send the same signal twice.
        if asked[-1] - asked[0] > SAME_REQUEST:
            hurry.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with suppress(KeyboardInterrupt):
            yield hurry
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def system(hurry: Event | None = None) -> Iterator[Supervisor]:
    """The whole system, running. Raises `FixConfiguration` where something is in its way."""
    found = settings()
    log.setup(found.log_format)
    with alone_in(found.home):
        refuse_taken_ports(found)
        with Servers(found, alone=True, report=click.echo) as servers:
            prepare(servers.settings)
            with Supervisor(commands(), child_environ(servers.settings), ROOT, hurry=hurry) as supervisor:
                yield supervisor


def refuse_taken_ports(found: Settings) -> None:
    wanted = {"PORT": found.port, "FLOWER_PORT": found.flower_port}
    taken = {name: port for name, port in wanted.items() if not is_free(port)}
    if taken:
        ports = " and ".join(map(str, taken.values()))
        raise FixConfiguration(
            f"Somebody else listens on port {ports}: end it, or set {' and '.join(taken)} to another."
        )


def prepare(found: Settings) -> None:
    """Bring the database up to date, and the accounts in it to what the environment says."""
    found.needs("database_url", "broker_url", "secret_keys")
    for step in migrate.upgrade(engine()):
        click.echo(f"Schema: {step} done.")
    with engine().begin() as connection:
        seeded = accounts.seed(connection, found)
        lost = rotation.missing(connection, Vault(found.secret_keys, found.home))
    engine().dispose()
    tell(seeded)
    if lost:
        click.echo(lost)


def tell(seeded: Sequence[Seeded]) -> None:
    for one in seeded:
        click.echo(f"Account {one.account.label}, from the environment: {one.outcome}.")
        # On a terminal only: elsewhere it would stay in a log.
        if one.made_secret and sys.stdout.isatty():
            click.echo(f"Its webhooks are verified with this secret, which is shown only now: {one.made_secret}")


def child_environ(found: Settings) -> dict[str, str]:
    """What the processes see. Their output goes through a pipe, but may end in a terminal: then it is for people."""
    log_format = found.log_format or ("console" if sys.stdout.isatty() else "json")
    return {**environ(found), "CALLTRACK_LOG": log_format}


def announce(supervisor: Supervisor, found: Settings) -> None:
    """Once the receiver and Flower answer, say where to look."""
    while not (answers(found.port) and answers(found.flower_port)):
        if supervisor.wait(LOOK):
            return
    for line in places(found):
        supervisor.say(line)


def places(found: Settings) -> list[str]:
    """Where to look, for a person."""
    names = "|".join(registry.names())
    return [
        f"Webhooks: http://127.0.0.1:{found.port}/webhooks/({names})",
        f"Flower:   http://127.0.0.1:{found.flower_port}",
        "Database: psql $(calltrack env DATABASE_URL)",
        "Stop with Ctrl-C.",
    ]
