"""`calltrack webhooks`: the deliveries that were landed, and replaying them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import Connection, text

from calltrack.cli.connection import database
from calltrack.cli.operations import follow, told
from calltrack.cli.times import MOMENT
from calltrack.db import accounts
from calltrack.errors import FixConfiguration
from calltrack.sync import replay as library

_LIST = text("""
SELECT delivery.id, delivery.provider || '/' || account.name AS account, delivery.event_type, delivery.state,
    delivery.reason, delivery.error, delivery.verified, delivery.attempts, delivery.repeats, delivery.replays,
    delivery.call_id, delivery.received_at, delivery.processed_at, octet_length(delivery.body) AS bytes
FROM webhook_logs delivery JOIN provider_configs account ON account.id = delivery.account_id
WHERE (CAST(:state AS text) IS NULL OR delivery.state = :state)
  AND (CAST(:provider AS text) IS NULL OR delivery.provider = :provider)
  AND (CAST(:account_id AS uuid) IS NULL OR delivery.account_id = :account_id)
  AND (CAST(:since AS timestamptz) IS NULL OR delivery.received_at >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR delivery.received_at < :until)
ORDER BY delivery.id DESC LIMIT :most
""")
_ONE = text("""
SELECT delivery.*, account.name AS account
FROM webhook_logs delivery JOIN provider_configs account ON account.id = delivery.account_id WHERE delivery.id = :id
""")
#: the two kinds of dead letters, kept apart
MEANING = {
    "rejected": "the provider sent something that cannot be used",
    "failed": "processing it failed on our side: `calltrack webhooks replay --state failed` tries again",
}

STATE = click.option("--state", type=click.Choice(library.STATES), help="Only deliveries in this state.")
PROVIDER = click.option("--provider", help="Only this provider's.")
ACCOUNT = click.option("--account", metavar="NAME", help="Only this account's; needs --provider.")
SINCE = click.option("--since", metavar="T", type=MOMENT, help="Received from this time on (ISO 8601).")
UNTIL = click.option("--until", metavar="T", type=MOMENT, help="Received before this time.")


@click.group()
def webhooks() -> None:
    """List, show and replay the deliveries that were landed."""


@webhooks.command("list")
@STATE
@PROVIDER
@ACCOUNT
@SINCE
@UNTIL
@click.option("--limit", "most", default=50, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one delivery a line.")
def list_(
    state: str | None,
    provider: str | None,
    account: str | None,
    since: datetime | None,
    until: datetime | None,
    most: int,
    as_json: bool,
) -> None:
    """List deliveries, newest first, without what they say."""
    with database() as connection:
        wanted = {"account_id": _account(connection, provider, account), "provider": provider, "state": state}
        found = connection.execute(_LIST, {**wanted, "since": since, "until": until, "most": most}).mappings().all()
    if as_json:
        for row in found:
            click.echo(json.dumps(dict(row), default=str))
        return
    fixed = [Column(name, no_wrap=True) for name in ("delivery", "account", "received", "event", "state")]
    table = Table(*fixed, "reason", box=None)
    for row in found:
        received = f"{row['received_at']:%Y-%m-%d %H:%M:%S}"
        why = " ".join(filter(None, (row["reason"], row["error"])))
        table.add_row(str(row["id"]), row["account"], received, row["event_type"] or "", row["state"], why)
    Console().print(table)
    for name in sorted({row["state"] for row in found} & MEANING.keys()):
        click.echo(f"{name}: {MEANING[name]}")


@webhooks.command()
@click.argument("delivery_id", metavar="ID", type=int)
@click.option("--body", "with_body", is_flag=True, help="Print what it says, too: personal data, as a rule.")
def show(delivery_id: int, with_body: bool) -> None:
    """Show one delivery."""
    with database() as connection:
        row = connection.execute(_ONE, {"id": delivery_id}).mappings().one_or_none()
    if row is None:
        raise FixConfiguration(f"There is no delivery {delivery_id}: see `calltrack webhooks list`.")
    for name, value in row.items():
        if name not in ("account_id", "body", "query", "signature", "dedup_key") and value is not None:
            click.echo(f"{name:>16}  {value}")
    if with_body:
        click.echo(bytes(row["body"]).decode(errors="replace") or row["query"])


@webhooks.command()
@SINCE
@UNTIL
@click.option("--id", "delivery", type=int, help="Only this delivery.")
@STATE
@PROVIDER
@ACCOUNT
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def replay(
    since: datetime | None,
    until: datetime | None,
    delivery: int | None,
    state: str | None,
    provider: str | None,
    account: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Process deliveries again, however many, with today's mapping. No row is doubled by that.

    All conditions that are given must hold; at least one is needed.
    """
    if not any((since, until, delivery, state, provider)):
        raise click.UsageError("Say which deliveries: --since, --until, --id, --state or --provider.")
    with database() as connection:
        meant = library.arguments(
            account_id=_account(connection, provider, account),
            provider=provider,
            delivery=delivery,
            state=state,
            since=since,
            until=until,
        )
        if dry_run:
            number = library.count(connection, meant)
            click.echo(json.dumps({"deliveries": number}) if as_json else f"{number:,} deliveries would be replayed.")
            return
        operation = library.begin(connection, meant)
        connection.commit()
        told(follow(operation), as_json)


def _account(connection: Connection, provider: str | None, account: str | None) -> UUID | Any:
    if account is None:
        return None
    if provider is None:
        raise click.UsageError("--account needs --provider.")
    return accounts.find_id(connection, provider, account)
