"""`calltrack shell`: Python, with everything at hand."""

from __future__ import annotations

import code
import rlcompleter
from contextlib import suppress
from typing import Any

import click
from sqlalchemy import Connection, text

from calltrack.cli.connection import database
from calltrack.config import settings

BANNER = """calltrack: app (Celery), tasks, sync_account, db (each statement commits by itself), text (SQL), settings

    sync_account.delay("acme", mode="incremental")
    db.execute(text("SELECT provider, count(*) FROM calls GROUP BY 1")).all()
    app.control.inspect().active()
"""


@click.command()
@click.option("-c", "source", metavar="CODE", help="Run this instead of asking for input.")
def shell(source: str | None) -> None:
    """A Python shell with the Celery app, the tasks and a database session at hand."""
    with database() as conn:
        # A shell that is left open must not hold a transaction open.
        names = at_hand(conn.execution_options(isolation_level="AUTOCOMMIT"))
        if source is not None:
            exec(compile(source, "<calltrack shell>", "exec"), names)  # noqa: S102 - a shell runs what it is given
            return
        complete_by_tab(names)
        code.interact(BANNER, local=names, exitmsg="")


def at_hand(db: Connection) -> dict[str, Any]:
    """The names that the shell knows."""
    import tasks  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses
    from tasks.app import app  # noqa: PLC0415 - same

    return {
        "app": app,
        "tasks": tasks,
        "sync_account": tasks.sync_account,
        "db": db,
        "text": text,
        "settings": settings(),
    }


def complete_by_tab(names: dict[str, Any]) -> None:
    """Complete names with the tab key, where this Python has readline."""
    with suppress(ImportError):
        import readline  # noqa: PLC0415 - not every Python has it

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
