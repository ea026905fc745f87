"""`calltrack report`: a provider's own figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from calltrack.cli.asked import ACCOUNT, JSON_LINES, asked, listed
from calltrack.cli.times import MOMENT
from calltrack.operations import Figures


@click.command()
@ACCOUNT
@click.option("--since", metavar="T", type=MOMENT, required=True, help="Calls from this time on (ISO 8601).")
@click.option("--until", metavar="T", type=MOMENT, help="Calls before this time; by default now.")
@JSON_LINES
def report(account: str, since: datetime, until: datetime | None, as_json: bool) -> None:
    """Show what the provider itself counts in a range, day by day or campaign by campaign."""
    with asked(account) as interface:
        found = interface.report(since, until)
    rows = found if as_json or not found else [*found, _total(found)]
    listed(rows, Figures._fields, as_json=as_json)


def _total(lines: Sequence[Figures]) -> Figures:
    """All lines together; what a line does not tell is not told of all."""
    columns: dict[str, Any] = {}
    for name in Figures._fields[1:]:
        values = [getattr(line, name) for line in lines]
        columns[name] = None if None in values else sum(values)
    return Figures(name="all", **columns)
