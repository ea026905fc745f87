"""`calltrack sync`: bring an account's calls in."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import click

from calltrack.cli import watch
from calltrack.cli.connection import servers
from calltrack.cli.times import MOMENT
from calltrack.errors import FixConfiguration
from calltrack.sync import runs
from calltrack.sync.plan import Mode

#: what `--json` prints, in this order
REPORTED = (
    "run_id",
    "status",
    "pages",
    "fetched",
    "inserted",
    "updated",
    "unchanged",
    "rejected",
    "duplicates",
    "excluded",
    "seconds",
)

#: seconds in which a worker that lives says so
PATIENCE = 3.0


@click.command()
@click.argument("provider")
@click.option("--account", metavar="NAME", help="Which account; by default the provider's only one, or `default`.")
@click.option(
    "--full", is_flag=True, help="Everything that the provider has. Without any range: what is new or changed."
)
@click.option("--since", metavar="T", type=MOMENT, help="Calls from this time on (ISO 8601).")
@click.option("--until", metavar="T", type=MOMENT, help="Calls before this time; by default now.")
@click.option("--wait", is_flag=True, help="Stay until the run has ended; exit code 0 only if it is completed.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def sync(
    provider: str,
    account: str | None,
    full: bool,
    since: datetime | None,
    until: datetime | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Sync the calls of PROVIDER. Two syncs of one range take turns: the second one waits for the first."""
    if full and (since or until):
        raise click.UsageError("--full reads everything: leave --since and --until out.")
    with servers():
        need_workers(wait)
        mode = Mode.FULL if full else Mode.RANGE if since or until else Mode.INCREMENTAL
        run_id = start(provider, account, mode, since, until)
        click.echo(f"{provider}: run {run_id} ({mode})", err=True)
        (run,) = watch.follow([run_id]) if wait else watch.summaries([run_id])
    _tell(run, as_json)
    if wait and run["status"] != "completed":
        sys.exit(1)


def need_workers(wait: bool) -> None:
    """Say that no worker is running. Raises `FixConfiguration` where somebody would wait for one."""
    from tasks import app  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    if not app.control.ping(timeout=PATIENCE, limit=1):
        if wait:
            raise FixConfiguration(
                "No worker is running, so nothing would happen: start the system with `calltrack up`."
            )
        click.echo("No worker is running: the sync begins when the system is started with `calltrack up`.", err=True)


def start(provider: str, account: str | None, mode: Mode, since: datetime | None, until: datetime | None) -> int:
    """Start a run and send its hints."""
    from tasks.hints import send  # noqa: PLC0415 - as above

    run_id, hints = runs.start(provider, account, mode, since, until)
    send(hints)
    return run_id


def _tell(run: dict[str, Any], as_json: bool) -> None:
    if run["error"]:
        click.echo(f"Run {run['run_id']} {run['status']}: {run['error']}", err=True)
        click.echo(f"When that is mended: calltrack runs resume {run['run_id']}", err=True)
    if as_json:
        click.echo(json.dumps({name: run[name] for name in REPORTED}))
