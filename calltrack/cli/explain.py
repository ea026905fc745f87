"""`calltrack explain`: why a call is as it is, or is not there."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Column, Table

from calltrack.cli.connection import database
from calltrack.sync.explain import Explanation
from calltrack.sync.explain import explain as explained


@click.command()
@click.argument("wanted", metavar="CALL_ID_OR_EXTERNAL_ID")
@click.option("--provider", help="Only at this provider.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one account a line.")
def explain(wanted: str, provider: str | None, as_json: bool) -> None:
    """Tell everything that was ever landed about a call, what each observation changed, or why the call is not there.

    Exit code 1: there is no such call.
    """
    with database() as connection:
        found = explained(connection, wanted, provider)
    for one in found:
        if as_json:
            row = {name: value for name, value in one.row.items() if name != "provider_data"} if one.row else None
            click.echo(json.dumps({**asdict(one), "row": row}, default=str))
        else:
            _tell(one)
    if not found:
        click.echo("There is no account yet: `calltrack accounts add` makes one.", err=True)
    if not any(one.row for one in found):
        sys.exit(1)


def _tell(one: Explanation) -> None:
    console = Console(markup=False, highlight=False)
    console.print(f"{one.account}  {one.external_id}  ({one.call_id})", soft_wrap=True)
    if one.row is None:
        console.print("  not in calls")
        for sentence in one.absent_because:
            console.print(f"  {sentence}", soft_wrap=True)
    else:
        table = Table("field", Column("value", overflow="fold"), "given by", box=None, pad_edge=True)
        for name, door in one.given_by.items():
            table.add_row(name, str(one.row[name]), door)
        console.print(table)
    if one.seen:
        table = Table("landed (UTC)", "observation", Column("what it did", overflow="fold"), box=None, pad_edge=True)
        for seen in one.seen:
            did = " ".join(filter(None, (seen.event, ", ".join(seen.changed)))) or seen.note or "nothing new"
            table.add_row(f"{seen.at:%Y-%m-%d %H:%M:%S}", seen.door, did)
        console.print(table)
    for kind, since in sorted(one.kept_since.items()):
        what = "changes" if kind == "events" else kind
        console.print(f"  Older {what} than {since:%Y-%m-%d %H:%M} UTC are no longer kept.", soft_wrap=True)
