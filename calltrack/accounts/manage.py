"""Adding and changing accounts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import Connection, func, select

from calltrack import registry
from calltrack.accounts import forms
from calltrack.accounts.schedule import next_daily, next_syncs
from calltrack.client.ask import fill_path
from calltrack.db import accounts, audit
from calltrack.db.accounts import DEFAULT, Account
from calltrack.db.credentials import Vault
from calltrack.db.session import driver
from calltrack.db.tables import calls
from calltrack.errors import FixConfiguration, NotThere
from calltrack.lookup import forget
from calltrack.mapping import Context
from calltrack.provider import Provider

#: between two syncs
SHORTEST = timedelta(seconds=30)


@dataclass(frozen=True)
class Added:
    """A new account, and the webhook secret that was made for it, if none was given: to be shown once."""

    account: Account
    made_secret: str | None = field(repr=False)


@dataclass(frozen=True)
class Changed(Added):
    """An account after a change; the secret was made where it had lost its own."""

    #: whether anything was different before
    differs: bool


def base(provider: Provider, values: Mapping[str, str]) -> str:
    """The base of the provider's API for an account with these settings: its subdomain may be one of them."""
    try:
        return fill_path(provider.api_url, {name: value.strip() for name, value in values.items()})
    except NotThere:  # what is wrong with that value is for its own check to say
        return provider.api_url


def _base_after(provider: Provider, account: Account, values: Mapping[str, str]) -> str:
    """The base after a change of settings: it follows them, unless somebody set it to something else."""
    return base(provider, values) if account.api_url == base(provider, account.settings) else account.api_url


def context(account: Account) -> Context:
    """What mappings may know of the account: no secret."""
    return Context(settings=account.settings)


def add(
    conn: Connection,
    vault: Vault,
    provider: str,
    *,
    name: str = DEFAULT,
    values: Mapping[str, str],
    api_url: str | None = None,
    webhook_secrets: Sequence[str] = (),
    rate_limits: Sequence[str] = (),
    allowed_ips: Sequence[str] = (),
    scheduled: bool = True,
) -> Added:
    """A new account of this provider; `values` are its settings, secret ones included. The caller commits.

    Raises `UnknownDoor` for an unknown provider and `FixConfiguration` with everything that is wrong with the rest.
    """
    declared = registry.get(provider)
    made = None if webhook_secrets else make_secret()
    form = forms.read(
        declared,
        name=name,
        api_url=api_url or base(declared, values),
        values=values,
        webhook_secrets=webhook_secrets or [made or ""],
        rate_limits=rate_limits,
        allowed_ips=allowed_ips,
    )
    hidden, shown = split(declared, form.values)
    account_id = accounts.insert(
        conn,
        vault,
        provider=provider,
        name=form.name,
        api_url=form.api_url,
        secrets=hidden,
        settings=shown,
        webhook_secrets=form.webhook_secrets,
        rate_limits=form.rate_limits,
        allowed_ips=form.allowed_ips,
    )
    account = accounts.get(conn, vault, account_id)
    if scheduled:
        accounts.schedule(conn, account_id, *next_syncs(account, datetime.now(UTC)))
        account = accounts.get(conn, vault, account_id)
    audit.record(conn, "account.added", account.label, settings=sorted(form.values), scheduled=scheduled)
    return Added(account, made)


def change(
    conn: Connection,
    vault: Vault,
    account: Account,
    *,
    values: Mapping[str, str],
    api_url: str | None = None,
    webhook_secrets: Sequence[str] = (),
    rate_limits: Sequence[str] = (),
    allowed_ips: Sequence[str] | None = None,
) -> Changed:
    """Give the account other values; what is not given stays, as far as it is still known. The caller commits.

    `allowed_ips`: networks that deliveries may come from; empty: any, None: as it was.
    An account that comes without secrets, because their key is lost, must be given them again.
    """
    declared = registry.get(account.provider)
    known = {setting.name for setting in forms.settings_of(declared)}
    kept = {key: value for key, value in account.credentials.items() if key in known}
    verifying = tuple(webhook_secrets) or account.webhook_secrets
    made = None if verifying else make_secret()
    form = forms.read(
        declared,
        name=account.name,
        api_url=api_url or _base_after(declared, account, {**kept, **values}),
        values={**kept, **values},
        webhook_secrets=verifying or [made or ""],
        rate_limits=rate_limits or account.rate_limits,
        allowed_ips=account.allowed_ips if allowed_ips is None else allowed_ips,
    )
    hidden, shown = split(declared, form.values)
    changed = replace(
        account,
        api_url=form.api_url,
        secrets=hidden,
        settings=shown,
        webhook_secrets=form.webhook_secrets,
        rate_limits=form.rate_limits,
        allowed_ips=form.allowed_ips,
    )
    if changed != account:
        accounts.save(conn, vault, changed)
        audit.record(conn, "account.changed", account.label, changed=changes(account, changed))
    return Changed(changed, made, differs=changed != account)


def set_active(conn: Connection, account_id: UUID, active: bool) -> None:
    """Let the account be synced and take deliveries, or not. The caller commits."""
    accounts.set_active(conn, account_id, active)
    audit.record(conn, "account.enabled" if active else "account.disabled", accounts.label(conn, account_id))


def set_rhythm(
    conn: Connection,
    account_id: UUID,
    incremental_every: timedelta | None,
    full_at: time | None,
    reconcile_every: timedelta | None,
) -> None:
    """How often, and when, the account is synced and checked; None: as it was. The caller commits.

    Raises `FixConfiguration` for an interval that is too short.
    """
    shortest = min((every for every in (incremental_every, reconcile_every) if every), default=SHORTEST)
    if shortest < SHORTEST or incremental_every == timedelta():
        raise FixConfiguration(f"Intervals are {SHORTEST.seconds} seconds or longer, for the sake of the rate limits.")
    given = accounts.set_rhythm(
        conn, account_id, incremental_every=incremental_every, full_sync_at=full_at, reconcile_every=reconcile_every
    )
    if given:
        row = accounts.get_unopened(conn, account_id)
        now = datetime.now(UTC)
        full = next_daily(row.full_sync_at, now) if row.next_full_at else None
        incremental = now + row.incremental_every if row.next_incremental_at else None
        accounts.schedule(conn, account_id, full, incremental)
        audit.record(conn, "account.changed", accounts.label(conn, account_id), changed=given)


def set_scheduled(conn: Connection, account: Account, scheduled: bool) -> None:
    """Let the account's syncs come by themselves, or not. The caller commits."""
    due = next_syncs(account, datetime.now(UTC)) if scheduled else (None, None)
    accounts.schedule(conn, account.id, *due)
    audit.record(conn, "account.scheduled" if scheduled else "account.unscheduled", account.label)


def remove(conn: Connection, account_id: UUID) -> None:
    """Delete the account, and with it its calls, deliveries and runs. The caller commits."""
    label = accounts.label(conn, account_id)
    lost = conn.scalar(select(func.count()).where(calls.c.account_id == account_id))
    accounts.remove(conn, account_id)
    forget.all_after_commit(driver(conn).cursor())
    audit.record(conn, "account.removed", label, calls=lost)


def changes(before: Account, after: Account) -> list[str]:
    """The names of what differs: settings by their own, secret ones too. No values."""
    old, new = before.credentials, after.credentials
    settings = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    others = {name for name in vars(before) if vars(before)[name] != vars(after)[name]}
    return sorted(settings | others - {"settings", "secrets"})


def rotated(account: Account, added: Sequence[str], *, drop_old: bool) -> tuple[str, ...]:
    """The account's webhook secrets with these before them; without the old ones if they are not to fit any more."""
    valid = tuple(dict.fromkeys((*added, *account.webhook_secrets)))
    return valid[: max(1, len(set(added)))] if drop_old else valid


def make_secret() -> str:
    """A webhook secret that nobody can guess."""
    return secrets.token_urlsafe(32)


def split(provider: Provider, values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The secret ones and the others."""
    secret = {setting.name for setting in forms.settings_of(provider) if setting.secret}
    hidden = {key: value for key, value in values.items() if key in secret}
    return hidden, {key: value for key, value in values.items() if key not in secret}
