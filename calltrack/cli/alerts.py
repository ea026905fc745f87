"""`calltrack alerts`: what somebody should look at."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Column, Table

from calltrack.cli.connection import database
from calltrack.sync import alerts as library


@click.command()
@click.option("--all", "closed", is_flag=True, help="Also those that have passed.")
@click.option("--limit", "most", default=50, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one alert a line.")
def alerts(closed: bool, most: int, as_json: bool) -> None:
    """List open alerts: webhooks that stopped, calls that no check could explain."""
    with database() as connection:
        found = library.list_(connection, closed=closed, most=most)
    if as_json:
        for row in found:
            click.echo(json.dumps(dict(row), default=str))
        return
    if not found:
        click.echo("No alert is open.")
        return
    fixed = [Column(name, no_wrap=True) for name in ("since (UTC)", "account", "alert", "state")]
    table = Table(*fixed, "what", box=None)
    for row in found:
        state = f"closed {row['closed_at']:%d %b %H:%M}" if row["closed_at"] else "open"
        since = f"{row['opened_at']:%Y-%m-%d %H:%M}"
        table.add_row(since, row["account"] or "-", row["kind"], state, row["message"])
    Console().print(table)
