"""`calltrack runs`: what was synced, what is under way, and what stopped."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import Connection, text

from calltrack.cli.connection import database
from calltrack.errors import FixConfiguration
from calltrack.sync import runs as library
from calltrack.sync.progress import summary

_LIST = text("""
SELECT run.*, account.name AS account, now() AS now
FROM sync_runs run JOIN provider_configs account ON account.id = run.account_id
WHERE (CAST(:provider AS text) IS NULL OR run.provider = :provider) AND (:checks OR run.mode NOT IN ('check', 'live'))
ORDER BY run.id DESC LIMIT :most
""")
_ONE = text("""
SELECT run.*, account.name AS account, now() AS now
FROM sync_runs run JOIN provider_configs account ON account.id = run.account_id WHERE run.id = :id
""")
_PAGES = text("""
SELECT slice.since, slice.until, slice.state, count(page.id) AS pages,
    count(*) FILTER (WHERE page.state = 'stored') AS stored,
    count(*) FILTER (WHERE page.state = 'failed') AS failed,
    min(page.next_attempt_at) FILTER (WHERE page.state = 'pending') AS next_attempt_at,
    max(page.error) AS error
FROM sync_slices slice LEFT JOIN sync_pages page ON page.slice_id = slice.id
WHERE slice.run_id = :id GROUP BY slice.id ORDER BY slice.since DESC
""")


@click.group()
def runs() -> None:
    """List, show, resume and cancel sync runs."""


@runs.command("list")
@click.option("--provider", help="Only this provider's.")
@click.option("--checks", is_flag=True, help="Also those that check the completeness ledger.")
@click.option("--limit", "most", default=20, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one run a line.")
def list_(provider: str | None, checks: bool, most: int, as_json: bool) -> None:
    """List runs, newest first."""
    with database() as connection:
        found = [
            _told(run)
            for run in connection.execute(_LIST, {"provider": provider, "checks": checks, "most": most}).mappings()
        ]
    if as_json:
        for run in found:
            click.echo(json.dumps(run))
        return
    columns = ("mode", "status", "fetched", "inserted", "updated", "rejected")
    table = Table("run", Column("account", no_wrap=True), *columns, "seconds", box=None)
    for run in found:
        numbers = [str(run[name]) for name in columns]
        table.add_row(str(run["run_id"]), f"{run['provider']}/{run['account']}", *numbers, f"{run['seconds']:.0f}")
    Console().print(table)
    for run in found:
        if run["error"]:
            click.echo(f"run {run['run_id']}: {run['error']}")


@runs.command()
@click.argument("run_id", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON.")
def show(run_id: int, as_json: bool) -> None:
    """Show a run: its numbers, its slices, and what it waits for."""
    with database() as connection:
        run = _find(connection, run_id)
        slices = [dict(row) for row in connection.execute(_PAGES, {"id": run_id}).mappings()]
    if as_json:
        click.echo(json.dumps({**run, "slices": slices}, default=_text))
        return
    for name, value in run.items():
        if value is not None:
            click.echo(f"{name:>12}  {value}")
    table = Table("since", "until", "state", "pages", "stored", "failed", "next attempt", "note")
    for part in slices:
        table.add_row(*(_text(part[name]) for name in part))
    Console().print(table)


@runs.command()
@click.argument("run_id", metavar="ID", type=int)
def resume(run_id: int) -> None:
    """Let a stopped run go on with the pages that are not stored."""
    with database():
        from tasks.hints import send  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

        hints = library.resume_run(run_id)
        send(hints)
    click.echo(f"Run {run_id} goes on: {len(hints)} pages are left.")


@runs.command()
@click.argument("run_id", metavar="ID", type=int)
def cancel(run_id: int) -> None:
    """Stop a run. What it has stored stays."""
    with database():
        library.cancel_run(run_id)
    click.echo(f"Run {run_id} is cancelled.")


def _find(connection: Connection, run_id: int) -> dict[str, Any]:
    run = connection.execute(_ONE, {"id": run_id}).mappings().one_or_none()
    if run is None:
        raise FixConfiguration(f"There is no run {run_id}: see `calltrack runs list`.")
    return _told(run)


def _told(run: Any) -> dict[str, Any]:
    said = {**summary(run, run["now"]), "account": run["account"], "mode": run["mode"], "reason": run["reason"]}
    times = {name: _text(run[name]) or None for name in ("since", "until", "started_at", "finished_at")}
    return {**said, "error": run["error"], **times}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return "" if value is None else str(value)
