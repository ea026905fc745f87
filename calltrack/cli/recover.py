"""`calltrack recover`: fetch what webhooks missed."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import click

from calltrack.cli import watch
from calltrack.cli.connection import servers
from calltrack.cli.sync import need_workers, start
from calltrack.cli.times import MOMENT
from calltrack.sync.plan import Mode
from calltrack.sync.recover import recovered


@click.command()
@click.argument("provider")
@click.option("--account", metavar="NAME", help="Which account; by default the provider's only one, or `default`.")
@click.option("--since", metavar="T", type=MOMENT, required=True, help="Calls from this time on (ISO 8601).")
@click.option("--until", metavar="T", type=MOMENT, help="Calls before this time; by default now.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout, with the ids.")
def recover(provider: str, account: str | None, since: datetime, until: datetime | None, as_json: bool) -> None:
    """Fetch the calls of PROVIDER in a range, and say which of them nobody had told us of."""
    with servers():
        need_workers(wait=True)
        run_id = start(provider, account, Mode.RECOVER, since, until)
        (run,) = watch.follow([run_id])
        found = recovered(run_id)
    missed, changed = len(found.missed), len(found.changed)
    click.echo(
        f"Run {run_id} {run['status']}: {run['fetched']:,} calls listed, {missed:,} of them were missing, "
        f"{changed:,} had changed.",
        err=True,
    )
    if run["error"]:
        click.echo(f"{run['error']} When that is mended: calltrack runs resume {run_id}", err=True)
    if as_json:
        numbers = {"run_id": run_id, "status": run["status"], "fetched": run["fetched"], "rejected": run["rejected"]}
        ids = {"missed": found.missed, "changed": found.changed}
        click.echo(json.dumps({**numbers, "recovered": missed, "changed": changed, "ids": ids}))
    if run["status"] != "completed":
        sys.exit(1)
