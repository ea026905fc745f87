"""`calltrack db`: the database schema."""

from __future__ import annotations

import click

from calltrack.cli.connection import servers
from calltrack.db import migrate
from calltrack.db.session import engine


@click.group()
def db() -> None:
    """Create and upgrade the database schema."""


@db.command()
def upgrade() -> None:
    """Run the schema steps that are due. Harmless when there are none, and when two run it at once."""
    with servers():
        done = migrate.upgrade(engine())
    for step in done:
        click.echo(f"done: {step}")
    click.echo("The schema is up to date.")


@db.command()
def check() -> None:
    """Compare the database with the tables that this version wants; exit code 1 where they differ."""
    with servers():
        migrate.check(engine())
    click.echo("The schema is what this version of calltrack wants.")
