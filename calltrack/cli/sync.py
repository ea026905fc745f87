"""`calltrack sync`: bring an account's calls in."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import click

from calltrack.cli import watch
from calltrack.cli.connection import servers
from calltrack.errors import FixConfiguration
from calltrack.mapping.times import moment
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
    "seconds",
)

#: seconds in which a worker that lives says so
PATIENCE = 3.0


def _time(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:  # noqa: ARG001
    found = moment(value)
    if value is not None and found is None:
        raise click.BadParameter(
            f"{value!r} is no time: write it as 2026-03-01 or 2026-03-01T14:00:00Z (UTC by default)."
        )
    return found


@click.command()
@click.argument("provider")
@click.option("--account", metavar="NAME", help="Which account; by default the provider's only one, or `default`.")
@click.option(
    "--full", is_flag=True, help="Everything that the provider has. Without any range: what is new or changed."
)
@click.option("--since", metavar="T", callback=_time, help="Calls from this time on (ISO 8601).")
@click.option("--until", metavar="T", callback=_time, help="Calls before this time; by default now.")
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
        _need_workers(wait)
        mode = Mode.FULL if full else Mode.RANGE if since or until else Mode.INCREMENTAL
        run_id = _start(provider, account, mode, since, until)
        click.echo(f"{provider}: run {run_id} ({mode})", err=True)
        (run,) = watch.follow([run_id]) if wait else watch.summaries([run_id])
    _tell(run, as_json)
    if wait and run["status"] != "completed":
        sys.exit(1)


def _need_workers(wait: bool) -> None:
    from tasks import app  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    if not app.control.ping(timeout=PATIENCE, limit=1):
        if wait:
            raise FixConfiguration(
                "No worker is running, so nothing would happen: start the system with `calltrack up`."
            )
        click.echo("No worker is running: the sync begins when the system is started with `calltrack up`.", err=True)


def _start(provider: str, account: str | None, mode: Mode, since: datetime | None, until: datetime | None) -> int:
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
