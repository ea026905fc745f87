"""`calltrack calls`: one call, as it stands here or as its provider has it, and changes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from calltrack import lookup
from calltrack.cli.asked import ACCOUNT, asked, told
from calltrack.cli.connection import database
from calltrack.errors import FixConfiguration, NotThere
from calltrack.sync.hints import Hint


@click.group()
def calls() -> None:
    """Show a call, get it from its provider, and change it there."""


@calls.command()
@click.argument("wanted", metavar="ID_OR_EXTERNAL_ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one call a line.")
def show(wanted: str, as_json: bool) -> None:
    """Show the call with this id, ours or the provider's, as it stands here. No provider is asked."""
    with database():
        found = lookup.find(wanted)
    if not found:
        raise NotThere(f"There is no call {wanted!r}: `calltrack explain {wanted}` says why.")
    for one in found:
        told({**one._asdict(), "id": str(one.id), "account_id": str(one.account_id)}, as_json=as_json)


@calls.command()
@ACCOUNT
@click.argument("call_id", metavar="ID")
@click.option("--raw", is_flag=True, help="The record as the provider gives it, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON.")
def get(account: str, call_id: str, raw: bool, as_json: bool) -> None:
    """Show the call with the provider's ID, as the provider has it now. Nothing is stored."""
    with asked(account) as interface:
        call = interface.call(call_id)
    if raw:
        click.echo(json.dumps(call.raw, ensure_ascii=False))
    else:
        told(call, as_json=as_json)


@calls.command()
@ACCOUNT
@click.argument("call_id", metavar="ID")
@click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Tag the call; may be repeated.")
@click.option("--converted", metavar="yes|no", help="Whether the call converted.")
@click.option("--revenue", metavar="12.50", help="What the call brings in.")
@click.option("--payout", metavar="12.50", help="What is paid for the call.")
@click.option("--add-revenue", metavar="12.50", help="Add to what the call brings in; may be negative.")
@click.option("--add-payout", metavar="12.50", help="Add to what is paid for the call; may be negative.")
def update(account: str, call_id: str, tags: Sequence[str], **fields: str | None) -> None:
    """Change the call with the provider's ID at its provider; its row follows.

    What is added is asked for once. Where its answer is lost nobody knows whether it was done: look with
    `calltrack calls get` before you ask again.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    with asked(account) as interface:
        hints = interface.update(call_id, tags=_pairs(tags), **given)
        _send(hints)
    names = [*given, *(["tags"] if tags else [])]
    after = " It is being fetched anew." if hints else ""
    click.echo(f"{interface.account.label}: changed {', '.join(names).replace('_', ' ')} of {call_id}.{after}")


def _pairs(tags: Sequence[str]) -> dict[str, str]:
    found = dict(tag.partition("=")[::2] for tag in tags)
    if len(found) < len(tags) or not all("=" in tag for tag in tags):
        raise FixConfiguration("--tag wants NAME=VALUE, and each name once.")
    return found


def _send(hints: list[Hint]) -> None:
    from tasks.hints import send  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    send(hints)
