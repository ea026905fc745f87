"""`calltrack rejects`: records that could not become calls."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import text

from calltrack.cli.connection import database
from calltrack.cli.operations import follow, told
from calltrack.sync import rejected as library

_LIST = text("""
SELECT rejected.id, rejected.provider || '/' || account.name AS account, rejected.reason, rejected.detail,
    rejected.mapper_version, rejected.page_id, rejected.delivery_id, rejected.repeats, rejected.created_at,
    rejected.last_seen_at, rejected.resolved_at
FROM rejected_records rejected JOIN provider_configs account ON account.id = rejected.account_id
WHERE (:resolved OR rejected.resolved_at IS NULL)
  AND (CAST(:provider AS text) IS NULL OR rejected.provider = :provider)
  AND (CAST(:reason AS text) IS NULL OR rejected.reason = :reason)
ORDER BY rejected.id DESC LIMIT :most
""")

PROVIDER = click.option("--provider", help="Only this provider's.")
REASON = click.option("--reason", help="Only those rejected for this reason.")


@click.group()
def rejects() -> None:
    """List records that could not become calls, and try them again."""


@rejects.command("list")
@PROVIDER
@REASON
@click.option("--all", "resolved", is_flag=True, help="Also those that became calls since.")
@click.option("--limit", "most", default=50, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one record a line.")
def list_(provider: str | None, reason: str | None, resolved: bool, most: int, as_json: bool) -> None:
    """List rejected records, newest first, with the reason."""
    wanted = {"provider": provider, "reason": reason, "resolved": resolved, "most": most}
    with database() as connection:
        found = connection.execute(_LIST, wanted).mappings().all()
    if as_json:
        for row in found:
            click.echo(json.dumps(dict(row), default=str))
        return
    fixed = [Column(name, no_wrap=True) for name in ("record", "account", "reason", "came with", "last seen")]
    table = Table(*fixed, "times", "detail", box=None)
    for row in found:
        door = f"page {row['page_id']}" if row["page_id"] else f"delivery {row['delivery_id']}"
        seen = f"{row['last_seen_at']:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(row["id"]), row["account"], row["reason"], door, seen, str(row["repeats"] + 1), row["detail"])
    Console().print(table)


@rejects.command()
@PROVIDER
@REASON
@click.option("--id", "record", type=int, help="Only this record.")
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def retry(provider: str | None, reason: str | None, record: int | None, dry_run: bool, as_json: bool) -> None:
    """Try rejected records again with today's mapping. What becomes a call is resolved, the rest stays."""
    meant = library.arguments(provider=provider, reason=reason, record=record)
    with database() as connection:
        if dry_run:
            number = library.count(connection, meant)
            click.echo(json.dumps({"records": number}) if as_json else f"{number:,} records would be tried again.")
            return
        operation = library.begin(connection, meant)
        connection.commit()
        told(follow(operation), as_json)
