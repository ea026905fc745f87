"""`calltrack retention`: remove what is old."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import timedelta

import click
from rich.console import Console
from rich.table import Table

from calltrack.cli.connection import database
from calltrack.cli.times import SPAN
from calltrack.config import RETENTION, SHORTEST_RETENTION, settings
from calltrack.errors import FixConfiguration
from calltrack.sync import retention as library
from calltrack.sync.retention import Found


@click.command()
@click.option("--pages", type=SPAN, metavar="AGE", help="Keep raw pages for so long: 90d.")
@click.option("--deliveries", type=SPAN, metavar="AGE", help="Keep webhook deliveries for so long.")
@click.option("--events", type=SPAN, metavar="AGE", help="Keep the change log for so long.")
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@click.option("--yes", is_flag=True, help="Do not ask before it is removed.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def retention(
    pages: timedelta | None,
    deliveries: timedelta | None,
    events: timedelta | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove raw pages, deliveries and changes that are older than they are to be kept.

    By default as CALLTRACK_RETENTION_PAGES, _DELIVERIES and _EVENTS say; the running system then does so by itself.
    What is not stored or processed yet, or still needed, stays. Calls are never removed.
    """
    given = {"pages": pages, "deliveries": deliveries, "events": events}
    with database() as connection:
        connection.close()  # what follows works on connections of its own
        kept = _kept({name: age for name, age in given.items() if age is not None})
        found = library.look(kept)
        removable = sum(one.removable for one in found)
        if not as_json:
            _tell(found)
        if dry_run or not removable:
            _say(as_json, found, {})
            return
        if not (yes or click.confirm(f"Remove these {removable:,} rows for good?", err=True)):
            click.echo("Nothing was removed.", err=True)
            sys.exit(1)
        removed, _ = library.remove(kept)
    if removed:
        click.echo(", ".join(f"{rows:,} {name}" for name, rows in removed.items()) + " removed.", err=True)
    else:
        click.echo("Nothing was removed: a remap is under way, or the running system removes just now.", err=True)
    _say(as_json, found, removed)


def _kept(given: Mapping[str, timedelta]) -> dict[str, timedelta]:
    if any(age < SHORTEST_RETENTION for age in given.values()):
        raise FixConfiguration("What is younger than a day is not removed: write 1d or more.")
    kept = dict(given) or dict(settings().retention)
    if not kept:
        raise FixConfiguration(
            f"Nothing says how long to keep what: give --pages 90d, say, or set {', '.join(RETENTION.values())}."
        )
    return kept


def _tell(found: list[Found]) -> None:
    table = Table("what", "older than (UTC)", "can go", "stays: still needed", box=None)
    for one in found:
        table.add_row(one.kind, f"{one.before:%Y-%m-%d %H:%M}", f"{one.removable:,}", f"{one.held:,}")
    Console().print(table)


def _say(as_json: bool, found: list[Found], removed: Mapping[str, int]) -> None:
    if as_json:
        told = {
            one.kind: {"before": one.before.isoformat(), "can_go": one.removable, "held": one.held} for one in found
        }
        click.echo(json.dumps({"found": told, "removed": dict(removed)}))
