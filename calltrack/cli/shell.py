"""`calltrack shell`: Python, with everything at hand."""

from __future__ import annotations

import code
from typing import Any

import click
from sqlalchemy import Connection

from calltrack.cli.connection import database
from calltrack.config import settings

BANNER = """calltrack: app (Celery), tasks, sync_account, db (a database connection), settings, text (SQL)

    sync_account.delay("retreaver", mode="incremental")
    db.execute(text("SELECT provider, count(*) FROM calls GROUP BY 1")).all()
    app.control.inspect().active()
"""


@click.command()
@click.option("-c", "source", metavar="CODE", help="Run this instead of asking for input.")
def shell(source: str | None) -> None:
    """A Python shell with the Celery app, the tasks and a database session at hand."""
    with database() as db:
        names = at_hand(db)
        if source is None:
            code.interact(BANNER, local=names, exitmsg="")
        else:
            exec(compile(source, "<calltrack shell>", "exec"), names)  # noqa: S102 - a shell runs what it is given


def at_hand(db: Connection) -> dict[str, Any]:
    """The names that the shell knows."""
    from sqlalchemy import text  # noqa: PLC0415

    import tasks  # noqa: PLC0415 - settings of Celery are read on import: the servers must run by then
    from tasks.app import app  # noqa: PLC0415

    return {
        "app": app,
        "tasks": tasks,
        "sync_account": tasks.sync_account,
        "db": db,
        "settings": settings(),
        "text": text,
    }
