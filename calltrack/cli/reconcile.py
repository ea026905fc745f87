"""`calltrack reconcile`: every id at the provider, held against the database."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table

from calltrack import registry
from calltrack.cli import watch
from calltrack.cli.connection import servers
from calltrack.cli.sync import need_workers
from calltrack.cli.times import MOMENT
from calltrack.db import accounts
from calltrack.db.session import engine
from calltrack.sync.ledger import buckets
from calltrack.sync.ledger.report import Report, of_account, report

COLUMNS = ("reported", "stored", "rejected", "excluded", "pending", "gone", "mismatched", "unexplained", "repaired")


@click.command()
@click.argument("provider")
@click.option("--account", metavar="NAME", help="Which account; by default the provider's only one, or `default`.")
@click.option("--since", metavar="T", type=MOMENT, help="Calls from this time on (ISO 8601).")
@click.option("--until", metavar="T", type=MOMENT, help="Calls before this time; by default now.")
@click.option("--repair", is_flag=True, help="Store what is missing, and mend what differs, from what was just listed.")
@click.option("--show", is_flag=True, help="Only show what earlier checks found.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def reconcile(
    provider: str,
    account: str | None,
    since: datetime | None,
    until: datetime | None,
    repair: bool,
    show: bool,
    as_json: bool,
) -> None:
    """List the calls of PROVIDER in a range, and account for every id.

    Each is stored, rejected, pending, gone at the provider, mismatched, or unexplained. Exit code 0 only if none is
    mismatched or unexplained.
    """
    registry.get(provider)
    with servers():
        if show:
            with engine().connect() as connection:
                found = of_account(connection, accounts.find_id(connection, provider, account), since, until, 1000)
        elif since is None:
            raise click.UsageError("Say from when: --since. (--show shows what earlier checks found.)")
        else:
            need_workers(wait=True)
            found = _check(provider, account, since, until, repair=repair)
    _tell(found, as_json)
    if as_json:
        click.echo(json.dumps({"provider": provider, "account": account or "default", **found.as_json()}))
    if not found.complete:
        sys.exit(1)


def _check(provider: str, account: str | None, since: datetime, until: datetime | None, *, repair: bool) -> Report:
    """Check the buckets of the range, and wait for it."""
    from tasks.hints import send  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    wanted, hints = buckets.reconcile(provider, account, since, until, repair=repair)
    send(hints)
    with engine().connect() as connection:
        under_way = buckets.under_way(connection, wanted)
    watch.follow(under_way)
    with engine().connect() as connection:
        return report(connection, wanted)


def _tell(found: Report, as_json: bool) -> None:
    table = Table("from (UTC)", "until", *COLUMNS, "checked", box=None)
    for bucket in found.buckets:
        times = [f"{bucket[name]:%Y-%m-%d %H:%M}" for name in ("since", "until")]
        checked = f"{bucket['checked_at']:%d %b %H:%M}" if bucket["checked_at"] else "-"
        table.add_row(*times, *(f"{bucket[name]:,}" for name in COLUMNS), checked)
    Console(stderr=as_json).print(table)
    for name, which in (("unexplained", found.unexplained), ("extra", found.extra), ("repaired", found.repaired)):
        if which:
            more = f" and {len(which) - 5} more" if len(which) > 5 else ""  # noqa: PLR2004 - enough to see
            click.echo(f"{name}: {', '.join(which[:5])}{more}", err=as_json)
    for name, fields in list(found.mismatched.items())[:5]:
        click.echo(f"different: {name} ({', '.join(fields)})", err=as_json)
    for fault in found.faults:
        click.echo(f"A check could not be done: {fault}", err=True)
