"""`calltrack cache`: calls that are kept at hand for lookups."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

import click

from calltrack import lookup
from calltrack.cli.connection import database
from calltrack.cli.times import MOMENT


@click.group()
def cache() -> None:
    """Calls that are kept at hand for lookups: warm, clear, stats."""


@cache.command()
@click.option("--since", metavar="T", type=MOMENT, required=True, help="Calls that started from this time on.")
@click.option("--until", metavar="T", type=MOMENT, help="And before this one.")
@click.option("--most", default=lookup.MOST, show_default=True, type=click.IntRange(1), help="How many, newest first.")
def warm(since: datetime, until: datetime | None, most: int) -> None:
    """Put the calls of a range into the cache, newest first: about a kilobyte of Redis' memory each, for 5 minutes."""
    with database():
        warmed = lookup.warm(since, until, most)
    click.echo(f"{warmed.calls:,} calls, {warmed.added:,} of them were not in the cache.")


@cache.command()
def clear() -> None:
    """Forget all calls: after rows were changed by hand, say. Lookups go on, and are slower for a moment."""
    with database():
        lookup.clear()
    click.echo("The cache is empty.")


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON.")
def stats(as_json: bool) -> None:
    """Show how the cache is used, counted since Redis was last emptied."""
    with database():
        found = lookup.stats()
    if as_json:
        click.echo(json.dumps({**asdict(found), "hit_rate": round(found.hit_rate, 4)}))
        return
    for name, value in asdict(found).items():
        click.echo(f"{name:>8}  {value:,}")
    click.echo(f"hit rate  {found.hit_rate:.1%}")
