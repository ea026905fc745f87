"""`calltrack providers`: what each provider's API offers."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from calltrack.interface import matrix


@click.command()
@click.option("--markdown", "as_markdown", is_flag=True, help="As a table in Markdown.")
def providers(as_markdown: bool) -> None:
    """Show which provider offers which operation. What it lacks is answered with one clear error."""
    if as_markdown:
        click.echo(matrix.markdown())
        return
    head, *rows = matrix.rows()
    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)
