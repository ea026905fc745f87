"""Runs the steps: all that are due in one transaction, one upgrade at a time (`calltrack.db.migrate`)."""

from __future__ import annotations

from alembic import context
from alembic.runtime.migration import MigrationInfo
from sqlalchemy import Connection, text
from sqlalchemy.schema import SchemaItem

from calltrack.db.migrate import take_turn
from calltrack.db.session import engine
from calltrack.db.tables import metadata


def run(connection: Connection) -> None:
    # Constraint and index names that a step does not give follow the naming convention of `metadata`.
    context.configure(
        connection,
        target_metadata=metadata,
        compare_server_default=True,
        on_version_apply=note,
        include_object=Whole(connection),
    )
    with context.begin_transaction():
        take_turn(connection)
        context.run_migrations()


class Whole:
    """Leaves partitions, and their indexes, out of the comparison: they come and go, and no step makes them."""

    def __init__(self, connection: Connection) -> None:
        query = text("SELECT relname FROM pg_class WHERE relispartition")
        self._parts = frozenset(connection.execute(query).scalars())

    def __call__(self, thing: SchemaItem, name: str | None, kind: str, reflected: bool, other: object) -> bool:  # noqa: ARG002
        table = getattr(thing, "table", thing)
        return not reflected or getattr(table, "name", name) not in self._parts


def note(ctx: object, step: MigrationInfo, heads: object, run_args: object) -> None:  # noqa: ARG001 - alembic's form
    """Tell who asked which step was done."""
    context.config.attributes.setdefault("done", []).append(step.up_revision_id)


def main() -> None:
    """With the connection at hand, or, under the `alembic` command, with one of our own."""
    if handed_in := context.config.attributes.get("connection"):
        run(handed_in)
        return
    with engine().connect() as connection:
        run(connection)


main()
