"""`calltrack audit`: who changed what."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from calltrack.cli.connection import database
from calltrack.cli.times import MOMENT
from calltrack.db import audit as library
from calltrack.errors import FixConfiguration


@click.group()
def audit() -> None:
    """Who changed what: list the audit log, and verify that it is whole."""


@audit.command("list")
@click.option("--since", metavar="T", type=MOMENT, help="From this time on (ISO 8601).")
@click.option("--subject", metavar="TEXT", help="Done to what begins so: acme, acme/east, …")
@click.option("--action", metavar="TEXT", help="What begins so: account, account.removed, …")
@click.option("--limit", "most", default=50, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one row a line.")
def list_(since: datetime | None, subject: str | None, action: str | None, most: int, as_json: bool) -> None:
    """List what was done, newest first. Times are UTC."""
    with database() as connection:
        found = [_told(row) for row in library.entries(connection, since, subject, action, most)]
    if as_json:
        for row in found:
            click.echo(json.dumps(row))
        return
    fixed = [Column(name, no_wrap=True) for name in ("row", "at", "who", "what")]
    table = Table(*fixed, Column("to what", overflow="fold"), Column("details", overflow="fold"), box=None)
    for row in found:
        details = "; ".join(f"{name}: {_said(value)}" for name, value in row["details"].items() if value is not None)
        table.add_row(str(row["id"]), row["at"][:19], row["actor"], row["action"], row["subject"], details)
    Console(markup=False, highlight=False).print(table)


@audit.command()
def head() -> None:
    """Print the newest row's number and hash. Kept elsewhere, it proves later that no row up to it was changed."""
    with database() as connection:
        newest = library.head(connection)
    if newest is None:
        raise FixConfiguration("The audit log is empty: there is nothing to keep yet.")
    click.echo(f"{newest.id} {newest.hash}")


@audit.command()
@click.option("--head", "kept", metavar="HASH", multiple=True, help="A hash that was kept elsewhere; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def verify(kept: Sequence[str], as_json: bool) -> None:
    """Recompute every row's hash; exit code 1 where a row was edited, removed or put in.

    Somebody who may switch off the database's triggers can cut off the newest rows, or write a whole new log, in
    a way that only shows against a hash kept elsewhere: see `calltrack audit head`.
    """
    with database() as connection:
        broken = library.verify(connection, kept)
        newest = library.head(connection)
    rows = newest.id if newest else 0
    click.echo(broken.why if broken else f"The audit log is whole: {rows:,} rows.", err=as_json)
    if as_json:
        fault = {"row": broken.id, "why": broken.why} if broken else None
        click.echo(json.dumps({"whole": broken is None, "rows": rows, "broken": fault}))
    if broken:
        sys.exit(1)


def _told(row: Any) -> dict[str, Any]:
    at = row["at"].astimezone(UTC).isoformat(sep=" ", timespec="microseconds")
    return {**row, "at": at, "hash": bytes(row["hash"]).hex()}


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
