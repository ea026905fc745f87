"""`calltrack queues`: the names of queues, for a worker's -Q."""

from __future__ import annotations

import click

from calltrack import registry

KINDS = ("fetch", "store", "webhooks")


@click.command()
@click.argument("kinds", metavar="KIND[,KIND…]")
def queues(kinds: str) -> None:
    """Print every provider's queues of these kinds (fetch, store, webhooks), joined by commas."""
    wanted = kinds.split(",")
    if unknown := set(wanted) - set(KINDS):
        raise click.BadParameter(f"There is no kind {', '.join(sorted(unknown))}. There are: {', '.join(KINDS)}.")
    click.echo(",".join(f"{name}.{kind}" for name in registry.names() for kind in wanted))
