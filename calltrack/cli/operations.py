"""`calltrack operations`: what is done to much data, bit by bit: replays, retries, remaps."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import text

from calltrack.cli.connection import database
from calltrack.db import audit
from calltrack.db.session import engine
from calltrack.sync import operations as library
from calltrack.sync.operations import Operation

_LIST = text("SELECT * FROM operations ORDER BY id DESC LIMIT :most")


@click.group()
def operations() -> None:
    """List, show, resume and cancel operations on data: replays, retries of rejects, remaps."""


@operations.command("list")
@click.option("--limit", "most", default=20, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one operation a line.")
def list_(most: int, as_json: bool) -> None:
    """List operations, newest first."""
    with database() as connection:
        found = [dict(row) for row in connection.execute(_LIST, {"most": most}).mappings()]
    if as_json:
        for row in found:
            click.echo(json.dumps(row, default=str))
        return
    table = Table("operation", "kind", "state", "done", "of", "began", "what became of it", box=None)
    for row in found:
        began = f"{row['created_at']:%Y-%m-%d %H:%M:%S}"
        numbers = (str(row["id"]), row["kind"], row["state"], f"{row['done']:,}", f"{row['total']:,}")
        table.add_row(*numbers, began, row["error"] or counted(row["counts"]))
    Console().print(table)


@operations.command()
@click.argument("operation_id", metavar="ID", type=int)
def show(operation_id: int) -> None:
    """Show an operation, with what was asked for."""
    with database() as connection:
        found = library.find(connection, operation_id)
    for name, value in vars(found).items():
        if value not in (None, {}):
            click.echo(f"{name:>12}  {counted(value) if isinstance(value, dict) else value}")


@operations.command()
@click.argument("operation_id", metavar="ID", type=int)
def resume(operation_id: int) -> None:
    """Go on with an operation that failed, was cancelled or interrupted, where it stopped."""
    with database() as connection:
        if library.find(connection, operation_id).state != "running":
            library.resume(connection, operation_id)
            audit.record(connection, "operation.resumed", f"operation {operation_id}")
            connection.commit()
        told(follow(operation_id), as_json=False)


@operations.command()
@click.argument("operation_id", metavar="ID", type=int)
def cancel(operation_id: int) -> None:
    """Stop an operation. What it has done stays done."""
    with database() as connection:
        library.cancel(connection, operation_id)
        audit.record(connection, "operation.cancelled", f"operation {operation_id}")
    click.echo(f"Operation {operation_id} is cancelled. It can be resumed.")


def follow(operation_id: int) -> Operation:
    """Do the operation, chunk by chunk, with a bar on stderr. Interrupted, it is finished by the running system."""
    bar = Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(f"operation {operation_id}")
        while True:
            operation = library.advance(operation_id, patient=True) or _found(operation_id)
            total = max(operation.total, operation.done) or None
            ended = operation.state != "running"
            bar.update(task, completed=operation.done, total=operation.done if ended else total)
            if ended:
                return operation


def _found(operation_id: int) -> Operation:
    with engine().connect() as connection:
        return library.find(connection, operation_id)


def told(operation: Operation, as_json: bool) -> None:
    """Say how the operation ended; exit code 1 where it did not complete."""
    done: dict[str, Any] = {"operation_id": operation.id, "status": operation.state, "done": operation.done}
    click.echo(
        f"Operation {operation.id} {operation.state}: {operation.done:,} done. {counted(operation.counts)}", err=True
    )
    if operation.error:
        click.echo(operation.error, err=True)
        click.echo(f"When that is mended: calltrack operations resume {operation.id}", err=True)
    if as_json:
        click.echo(json.dumps({**done, **operation.counts}))
    if operation.state != "completed":
        sys.exit(1)


def counted(counts: dict[str, Any]) -> str:
    """`3 processed, 1 rejected`."""
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items() if value not in (None, 0))
