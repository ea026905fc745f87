"""`calltrack remap`: map anew what was landed, after a mapper was mended."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import click

from calltrack.cli.connection import database
from calltrack.cli.operations import follow, told
from calltrack.cli.shadow import differences, shown
from calltrack.cli.times import MOMENT
from calltrack.db import accounts
from calltrack.sync import remap as library
from calltrack.sync.modes import MAPPERS
from calltrack.sync.reading import CANDIDATE


@click.command()
@click.argument("provider")
@click.option("--account", metavar="NAME", help="Which account; by default the provider's only one, or `default`.")
@click.option("--since", metavar="T", type=MOMENT, help="Only what was landed from this time on; by default all.")
@click.option("--mapper", type=click.Choice(MAPPERS), default="current", help="The candidate is only compared.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--yes", is_flag=True, help="Do not ask before it is changed.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def remap(
    provider: str, account: str | None, since: datetime | None, mapper: str, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Read everything that PROVIDER ever sent again, with today's mapper, and change what comes out differently.

    Nothing is asked of the provider. First what would change is counted, field by field; then it is applied.
    """
    candidate = mapper == CANDIDATE
    with database() as connection:
        account_id = accounts.find_id(connection, provider, account)
        operation = library.begin(connection, account_id, since=since, candidate=candidate)
        connection.commit()
        compared = follow(operation)
        if compared.state != "completed":
            told(compared, as_json)
        found = library.difference(compared)
        click.echo(differences(found), err=True)
        changes = found.counts["missing"] + found.counts["different"]
        if dry_run or candidate:
            _say(as_json, {"operation_id": operation, **shown(found), "applied": False})
            return
        if changes and not (yes or click.confirm(f"Change these {changes:,} calls?", err=True)):
            click.echo("Nothing was changed.", err=True)
            sys.exit(1)
        applying = library.begin_apply(connection, compared)
        connection.commit()
        done = follow(applying)
        if done.state != "completed":
            told(done, as_json)
    inserted, updated = done.counts.get("calls_inserted", 0), done.counts.get("calls_updated", 0)
    click.echo(f"{inserted:,} calls inserted, {updated:,} changed.", err=True)
    _say(as_json, {"operation_id": applying, **shown(found), **done.counts, "applied": True})


def _say(as_json: bool, result: dict[str, object]) -> None:
    if as_json:
        click.echo(json.dumps(result))
