"""Accounts from the environment: the `default` account of each provider whose variables are set.

The variables are the truth for what they name, and say nothing about the rest: an account that was added by hand keeps
its other settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from calltrack import registry
from calltrack.accounts.forms import variables
from calltrack.accounts.manage import add, change, set_scheduled
from calltrack.config import Settings
from calltrack.db import accounts, audit
from calltrack.db.accounts import DEFAULT, Account
from calltrack.db.credentials import Vault
from calltrack.errors import FixConfiguration, UnknownDoor
from calltrack.provider import Provider

#: the variables whose name ends so are milliseconds; settings are seconds
MILLISECONDS = "_MS"
YES = {"true", "yes", "on", "1"}
NO = {"false", "no", "off", "0"}
#: the variables that say which system it is
SYSTEM = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "CALLTRACK_SECRET_KEYS")


@dataclass(frozen=True)
class Seeded:
    """What became of a provider's variables."""

    account: Account
    #: "added", "changed" or "as it was"
    outcome: str
    made_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Given:
    """A provider's variables, sorted by what they set."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_url: str | None = None
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    #: whether syncs are scheduled; None: not said
    enabled: bool | None = None


def seed(conn: Connection, settings: Settings) -> list[Seeded]:
    """Bring the accounts to what the environment says. Doing it again changes nothing. The caller commits.

    Raises `FixConfiguration` with what is wrong in the variables of all providers.
    """
    vault = Vault(settings.secret_keys)
    seeded: list[Seeded] = []
    faults: list[str] = []
    for provider in map(registry.get, registry.names()):
        try:
            with audit.acting(f"seed {audit.user()}"):
                seeded.extend(_seed(conn, vault, provider, settings.environ))
        except FixConfiguration as fault:
            own = ", ".join(variable for variable, what in variables(provider).items() if what in _named(provider))
            faults.append(f"The {provider.title} account in the environment: {fault.message} (Its variables: {own}, …)")
    if faults:
        raise FixConfiguration(" ".join(faults))
    return seeded


def blanked() -> dict[str, str]:
    """The variables that name a real system's servers, keys and accounts, emptied: for a system that is none."""
    accounts = [name for provider in map(registry.get, registry.names()) for name in variables(provider)]
    return dict.fromkeys([*SYSTEM, *accounts], "")


def _named(provider: Provider) -> set[str]:
    return {"api_url", "webhook_secret", *(setting.name for setting in provider.settings)}


def _seed(conn: Connection, vault: Vault, provider: Provider, environ: Mapping[str, str]) -> list[Seeded]:
    given = _given(provider, environ)
    if given == Given():
        return []
    try:
        account = accounts.get(conn, vault, accounts.find_id(conn, provider.name, DEFAULT))
    except UnknownDoor:
        return _add(conn, vault, provider, given)
    changed = change(
        conn, vault, account, values=given.values, api_url=given.api_url, webhook_secrets=given.webhook_secrets
    ).differs
    changed |= _reschedule(conn, account, given.enabled)
    return [Seeded(accounts.get(conn, vault, account.id), "changed" if changed else "as it was")]


def _add(conn: Connection, vault: Vault, provider: Provider, given: Given) -> list[Seeded]:
    """The new account, where the environment has at least one of the settings that an account must have."""
    if not any(setting.required and setting.name in given.values for setting in provider.settings):
        return []
    added = add(
        conn,
        vault,
        provider.name,
        values=given.values,
        api_url=given.api_url,
        webhook_secrets=given.webhook_secrets,
        scheduled=given.enabled is not False,
    )
    return [Seeded(added.account, "added", added.made_secret)]


def _reschedule(conn: Connection, account: Account, enabled: bool | None) -> bool:
    scheduled = account.next_full_at is not None or account.next_incremental_at is not None
    if enabled is None or enabled == scheduled:
        return False
    set_scheduled(conn, account, enabled)
    return True


def _given(provider: Provider, environ: Mapping[str, str]) -> Given:
    found = {
        what: _in_seconds(what, environ[variable]) if variable.endswith(MILLISECONDS) else environ[variable]
        for variable, what in variables(provider).items()
        if environ.get(variable)
    }
    api_url = found.pop("api_url", None)
    # Two secrets with a space between them are both valid: that is how one follows another.
    webhook_secrets = tuple(found.pop("webhook_secret", "").split())
    enabled = _yes_or_no("enabled", found.pop("enabled", ""))
    return Given(found, api_url, webhook_secrets, enabled)


def _in_seconds(what: str, text: str) -> str:
    if not (text.isascii() and text.isdecimal()):
        raise FixConfiguration(f"{what} must be a whole number of milliseconds.")
    return f"{int(text) / 1000:g}"


def _yes_or_no(what: str, text: str) -> bool | None:
    word = text.strip().lower()
    if word and word not in YES | NO:
        raise FixConfiguration(f"{what} must be true or false.")
    return word in YES if word else None
