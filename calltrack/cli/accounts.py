"""`calltrack accounts`: who we are at the providers."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Row, func, select

from calltrack import accounts as library
from calltrack import registry
from calltrack.cli.accounts_webhooks import webhooks
from calltrack.cli.chosen import chosen, label
from calltrack.cli.connection import database, vault
from calltrack.cli.operations import follow, told
from calltrack.cli.times import CLOCK, SPAN
from calltrack.config import settings
from calltrack.db import accounts as rows
from calltrack.db.accounts import DEFAULT, Account
from calltrack.db.tables import calls
from calltrack.errors import FixConfiguration
from calltrack.signatures import SharedSecret
from calltrack.sync import modes
from calltrack.sync.connections import breaker_of, client_for
from calltrack.sync.reading import SHADOW

#: options that `add` and `update` share
OPTIONS = (
    click.option("--api-url", metavar="URL", help="Base of the provider's API, as its docs give it."),
    click.option("--set", "pairs", metavar="KEY=VALUE", multiple=True, help="A setting; may be repeated."),
    click.option(
        "--webhook-secret",
        "webhook_secrets",
        metavar="SECRET",
        multiple=True,
        help="Verifies deliveries; may be repeated.",
    ),
    click.option(
        "--rate-limit", "rate_limits", metavar="100/minute", multiple=True, help="Request budget; may be repeated."
    ),
    click.option(
        "--allow-ip",
        "allowed_ips",
        metavar="203.0.113.0/24",
        multiple=True,
        help="Take deliveries from this network only; may be repeated.",
    ),
)


def values_options(command: Any) -> Any:
    """The options that say what an account is like."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.group()
def accounts() -> None:
    """Add, list, check, enable, disable and remove accounts.

    NAME is provider/name, or just the name or the provider where that says enough.
    """


accounts.add_command(webhooks)


@accounts.command()
@click.argument("provider")
@click.option("--name", default=DEFAULT, show_default=True, help="Several accounts of one provider go by name.")
@values_options
def add(
    provider: str,
    name: str,
    api_url: str | None,
    pairs: Sequence[str],
    webhook_secrets: Sequence[str],
    rate_limits: Sequence[str],
    allowed_ips: Sequence[str],
) -> None:
    """Add an account at PROVIDER."""
    with database() as conn:
        added = library.add(
            conn,
            vault(),
            provider,
            name=name,
            values=as_values(pairs),
            api_url=api_url,
            webhook_secrets=webhook_secrets,
            rate_limits=rate_limits,
            allowed_ips=allowed_ips,
        )
    click.echo(f"Added {added.account.label}. See that it works: calltrack accounts check {added.account.label}")
    tell_of_webhooks(added)


@accounts.command()
@click.argument("name")
@values_options
@click.option("--any-ip", is_flag=True, help="Take deliveries from anywhere.")
@click.option(
    "--add-webhook-secret",
    "added_secrets",
    metavar="SECRET",
    multiple=True,
    help="Verifies deliveries from now on, beside those that do already.",
)
@click.option("--drop-old-webhook-secrets", "drop_old", is_flag=True, help="Only the newest verifies deliveries.")
def update(
    name: str,
    api_url: str | None,
    pairs: Sequence[str],
    webhook_secrets: Sequence[str],
    rate_limits: Sequence[str],
    allowed_ips: Sequence[str],
    any_ip: bool,
    added_secrets: Sequence[str],
    drop_old: bool,
) -> None:
    """Change what is given, and leave the rest as it is.

    Webhook secrets, rate limits and networks that are given replace the old ones.
    """
    if webhook_secrets and (added_secrets or drop_old):
        raise FixConfiguration("--webhook-secret replaces all webhook secrets: add or drop some, or replace all.")
    if allowed_ips and any_ip:
        raise FixConfiguration("--any-ip and --allow-ip contradict each other: give one of them.")
    with database() as conn:
        account = opened(conn, chosen(conn, name).id)
        changed = library.change(
            conn,
            vault(),
            account,
            values=as_values(pairs),
            api_url=api_url,
            webhook_secrets=webhook_secrets or library.rotated(account, added_secrets, drop_old=drop_old),
            rate_limits=rate_limits,
            allowed_ips=allowed_ips if allowed_ips or any_ip else None,
        )
    click.echo(f"{changed.account.label}: {'changed' if changed.differs else 'is like that already'}.")
    if added_secrets or drop_old:
        click.echo(f"Webhook secrets that fit: {len(changed.account.webhook_secrets)}.")
    if changed.made_secret:
        tell_of_webhooks(changed)


@accounts.command("set")
@click.argument("name")
@click.option("--mode", type=click.Choice(modes.MODES), help="Shadow: land and map everything, and write no call.")
@click.option("--mapper", type=click.Choice(modes.MAPPERS), help="Candidate: try the provider's next mapper in shadow.")
@click.option("--incremental-every", metavar="15m", type=SPAN, help="How often changes are fetched.")
@click.option("--full-at", metavar="02:00", type=CLOCK, help="When everything is fetched, each day (UTC).")
@click.option("--reconcile-every", metavar="5m", type=SPAN, help="How often the newest hour is checked; 0: never.")
def set_(
    name: str,
    mode: str | None,
    mapper: str | None,
    incremental_every: timedelta | None,
    full_at: time | None,
    reconcile_every: timedelta | None,
) -> None:
    """Set how the account is run; what is not given stays as it is."""
    with database() as conn:
        account = chosen(conn, name)
        library.set_rhythm(conn, account.id, incremental_every, full_at, reconcile_every)
        operation = modes.set_mode(conn, account.id, mode, mapper)
        conn.commit()
        row = chosen(conn, label(account))
        click.echo(f"{label(row)}: {row.mode}, mapper {row.shadow_mapper or modes.CURRENT}.")
        if operation is not None:
            click.echo("What was landed in shadow mode is brought to the calls now.", err=True)
            told(follow(operation), as_json=False)


@accounts.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(as_json: bool) -> None:
    """Show all accounts, without their secrets."""
    with database() as conn:
        found = [described(row) for row in rows.overview(conn)]
    if as_json:
        for account in found:
            click.echo(json.dumps(account))
    elif found:
        Console().print(table(found))
    else:
        click.echo(
            "No accounts yet: calltrack accounts add PROVIDER --set KEY=VALUE … (providers: "
            + ", ".join(registry.names())
            + ")"
        )


@accounts.command()
@click.argument("name", required=False)
def check(name: str | None) -> None:
    """Ask the providers of all accounts, or of one, for one call; exit code 1 where one cannot be used."""
    with database() as conn:
        wanted = [chosen(conn, name)] if name else rows.overview(conn)
        faults = [verdict(conn, row) for row in wanted]
    if any(faults):
        sys.exit(1)


@accounts.command()
@click.argument("name")
def enable(name: str) -> None:
    """Sync the account again."""
    _activate(name, active=True)


@accounts.command()
@click.argument("name")
def disable(name: str) -> None:
    """Stop syncing the account, and refuse its webhooks; its calls stay."""
    _activate(name, active=False)


@accounts.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Delete the account and everything that came with it: its calls, deliveries and runs."""
    with database() as conn:
        account = chosen(conn, name)
        count = conn.scalar(select(func.count()).select_from(calls).where(calls.c.account_id == account.id))
        if not yes:
            click.confirm(f"Delete {label(account)} and its {count:,} calls for good?", abort=True)
        library.remove(conn, account.id)
    click.echo(f"Removed {label(account)}.")


def _activate(name: str, *, active: bool) -> None:
    with database() as conn:
        account = chosen(conn, name)
        library.set_active(conn, account.id, active)
    click.echo(f"{label(account)}: {'enabled' if active else 'disabled'}.")


def as_values(pairs: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as a dict. A fault never shows the value: it may be a key."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or key in values:
            fault = f"{key!r} is given twice" if key in values else "one has no key or no ="
            raise FixConfiguration(f"--set wants KEY=VALUE: {fault}.")
        values[key] = value
    return values


def opened(conn: Connection, account_id: UUID) -> Account:
    """The account; without its secrets where their key is lost, so that they can be entered again."""
    try:
        return rows.get(conn, vault(), account_id)
    except FixConfiguration:
        return rows.get_unopened(conn, account_id)


def tell_of_webhooks(entered: library.Added) -> None:
    """Say what to enter at the provider, so that it delivers."""
    account, declared = entered.account, registry.get(entered.account.provider)
    click.echo(f"For webhooks enter at {declared.title}: {delivery_url(account)}")
    if isinstance(declared.webhook.signature, SharedSecret):
        click.echo(f"{declared.title} signs nothing: {_where(account, declared.webhook.signature)}.")
    if entered.made_secret:
        click.echo(f"with this secret, which is shown only now: {entered.made_secret}")


def delivery_url(account: Account) -> str:
    """Where the provider is to send deliveries, as far as we can know it."""
    named = account.name != DEFAULT or account.settings.get("secret_in") == "path"
    path = f"/webhooks/{account.provider}" + (f"/{account.name}" if named else "")
    return f"https://YOUR-HOST{path} (on this machine: http://127.0.0.1:{settings().port}{path})"


def _where(account: Account, signature: SharedSecret) -> str:
    """Where deliveries are to show the account's secret."""
    return {
        "path": "the secret is a further step of that path, /SECRET",
        "query": f"the secret is a part of that URL, ?{signature.param}=SECRET",
    }.get(account.settings.get("secret_in") or "", f"let it send the header {signature.header}: SECRET")


def verdict(conn: Connection, row: Row[Any]) -> str | None:
    """Ask the provider, print what came of it, note a mended fault; the fault, if there is one."""
    account = rows.get(conn, vault(), row.id)
    fault = library.check(account, client_for(account))
    click.echo(f"{account.label}: {fault or 'works.'}")
    if fault is None and account.health is not None:
        rows.set_health(conn, account.id, None)
    return fault


def described(row: Row[Any]) -> dict[str, Any]:
    """The account for people and programs: no secret, times as ISO 8601."""
    return {
        "id": str(row.id),
        "provider": row.provider_type,
        "name": row.name,
        "api_url": row.api_url,
        "settings": row.settings,
        "rate_limits": row.rate_limits,
        "allowed_ips": row.allowed_ips,
        "is_active": row.is_active,
        "mode": row.mode,
        "mapper": row.shadow_mapper or modes.CURRENT,
        "next_full_at": _iso(row.next_full_at),
        "next_incremental_at": _iso(row.next_incremental_at),
        "blocked_until": _iso(row.blocked_until),
        "health": row.health,
        "breaker": str(breaker_of(row.id) or "unknown: Redis is away"),
    }


def table(found: Sequence[dict[str, Any]]) -> Table:
    """The accounts as people read them; times are UTC."""
    shown = Table("account", "state", "next sync", "settings", "limits", "API", box=None)
    for account in found:
        due = [at for at in (account["next_full_at"], account["next_incremental_at"]) if at]
        shown.add_row(
            f"{account['provider']}/{account['name']}",
            account["health"] or _waiting(account) or _resting(account),
            _short(min(due)) if due else "-",
            "\n".join(f"{key}={value}" for key, value in account["settings"].items()),
            "\n".join(account["rate_limits"]) or "usual",
            account["api_url"],
        )
    for column in shown.columns:
        column.overflow = "fold"
    shown.columns[0].no_wrap = shown.columns[2].no_wrap = True
    return shown


def _short(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%d %b %H:%M}"


def _waiting(account: dict[str, Any]) -> str:
    until = account["blocked_until"]
    return f"waits until {_short(until)}" if until and datetime.fromisoformat(until) > datetime.now(UTC) else ""


def _resting(account: dict[str, Any]) -> str:
    """What an account does that nothing keeps from working; a breaker is worth a word unless it is simply closed."""
    if not account["is_active"]:
        return "disabled"
    said = ["active"]
    said += ["in shadow mode"] if account["mode"] == SHADOW else []
    said += [f"{account['mapper']} mapper in shadow"] if account["mapper"] != modes.CURRENT else []
    said += [f"breaker {account['breaker']}"] if account["breaker"] != "closed" else []
    return "; ".join(said)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")
