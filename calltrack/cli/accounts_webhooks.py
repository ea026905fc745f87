"""`calltrack accounts webhooks`: what is registered at the provider, so that it delivers."""

from __future__ import annotations

import click

from calltrack.cli.asked import ACCOUNT, JSON_LINES, asked, listed


@click.group()
def webhooks() -> None:
    """Register webhooks at providers whose API takes them, list and remove them."""


@webhooks.command()
@ACCOUNT
@click.option(
    "--url", "base", metavar="URL", required=True, help="Where the receiver is, as https://calls.example.com."
)
@click.option(
    "--event", "events", metavar="EVENT", multiple=True, required=True, help="In the provider's words; may be repeated."
)
def register(account: str, base: str, events: tuple[str, ...]) -> None:
    """Have deliveries of events sent to the account's door. What is registered already is not registered again."""
    with asked(account) as interface:
        for event in events:
            made = interface.register(base, event)
            click.echo(f"{interface.account.label}: {event} goes to {made.url} (webhook {made.id}).")


@webhooks.command("list")
@ACCOUNT
@JSON_LINES
def list_(account: str, as_json: bool) -> None:
    """List the webhooks that are registered. Secrets in their URLs are not shown."""
    with asked(account) as interface:
        found = interface.webhooks()
    listed(found, ("id", "event", "active", "url"), as_json=as_json)


@webhooks.command()
@ACCOUNT
@click.argument("webhook_id", metavar="ID")
def remove(account: str, webhook_id: str) -> None:
    """Have no more deliveries of the webhook with the provider's ID."""
    with asked(account) as interface:
        interface.unregister(webhook_id)
    click.echo(f"{interface.account.label}: webhook {webhook_id} is removed.")
