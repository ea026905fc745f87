"""Accounts in the database: one row of `provider_configs` is one set of credentials at one provider. Callers commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_into

from calltrack.db import session
from calltrack.db.credentials import Vault, key_id
from calltrack.db.tables import provider_configs
from calltrack.errors import FixConfiguration, UnknownDoor

#: the one key of the sealed object that is no setting of the provider
WEBHOOK_SECRETS = "webhook_secrets"
DEFAULT = "default"

_ROW = provider_configs.c


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account, opened. `repr` shows no secret."""

    id: UUID
    provider: str
    name: str
    #: the base of the provider's API, without a trailing slash
    api_url: str
    #: the settings that are secret
    secrets: Mapping[str, str] = field(repr=False)
    #: all of them verify a delivery; the first is the newest
    webhook_secrets: tuple[str, ...] = field(repr=False)
    #: the settings that are not
    settings: Mapping[str, str]
    #: "100/minute", …; empty: the provider's own
    rate_limits: tuple[str, ...]
    #: networks that deliveries may come from; empty: any
    allowed_ips: tuple[str, ...]
    is_active: bool
    #: UTC
    full_sync_at: time
    incremental_every: timedelta
    #: None: not scheduled
    next_full_at: datetime | None
    next_incremental_at: datetime | None
    blocked_until: datetime | None
    #: the last fault that needs a person; None while all is well
    health: str | None

    @property
    def credentials(self) -> dict[str, str]:
        """All settings, secret ones included: what `Auth` and `Client` want."""
        return {**self.settings, **self.secrets}

    @property
    def label(self) -> str:
        """`acme/default`: how people name the account."""
        return f"{self.provider}/{self.name}"


def insert(
    conn: Connection,
    vault: Vault,
    *,
    provider: str,
    name: str = DEFAULT,
    api_url: str,
    secrets: Mapping[str, str],
    webhook_secrets: Sequence[str],
    settings: Mapping[str, str],
    rate_limits: Sequence[str] = (),
    allowed_ips: Sequence[str] = (),
) -> UUID:
    """A new account's id; it is active, and no sync is scheduled.

    Raises `FixConfiguration` where the provider has one of this name.
    """
    account_id = uuid4()
    statement = (
        insert_into(provider_configs)
        .values(
            id=account_id,
            provider_type=provider,
            name=name,
            api_url=api_url,
            credentials=_sealed(vault, secrets, webhook_secrets, account_id, provider),
            settings=dict(settings),
            rate_limits=list(rate_limits),
            allowed_ips=list(allowed_ips),
        )
        .on_conflict_do_nothing(index_elements=["provider_type", "name"])
        .returning(_ROW.id)
    )
    if conn.execute(statement).first() is None:
        raise FixConfiguration(
            f"There is an account {provider}/{name} already: change it with "
            f"`calltrack accounts update {provider}/{name}`, or give the new one another --name."
        )
    return account_id


def get(conn: Connection, vault: Vault, account_id: UUID) -> Account:
    """The account with this id. Raises `UnknownDoor`."""
    row = _row(conn, account_id)
    return _account(row, _opened(row, vault))


def get_unopened(conn: Connection, account_id: UUID) -> Account:
    """As `get`, with all its secrets left out: for an account whose key is lost, to enter them again."""
    return _account(_row(conn, account_id), {})


def label(conn: Connection, account_id: UUID) -> str:
    """`acme/default`. Raises `UnknownDoor`."""
    row = _row(conn, account_id)
    return f"{row.provider_type}/{row.name}"


def find(conn: Connection, vault: Vault, provider: str, name: str | None = None) -> Account:
    """The provider's account of this name; without a name its only account, else `default`. Raises `UnknownDoor`."""
    return get(conn, vault, find_id(conn, provider, name))


def find_id(conn: Connection, provider: str, name: str | None = None) -> UUID:
    """As `find`, without opening the account: for what must work while its key is lost."""
    rows = conn.execute(select(_ROW.id, _ROW.name).where(_ROW.provider_type == provider)).all()
    if name is None and len(rows) == 1:
        return UUID(str(rows[0].id))
    wanted = name or DEFAULT
    found = next((row.id for row in rows if row.name == wanted), None)
    if found is None:
        raise UnknownDoor(f"{provider} has no account {wanted!r}.")
    return UUID(str(found))


def all(conn: Connection, vault: Vault) -> list[Account]:  # noqa: A001 - reads as `accounts.all(…)`
    """Every account, by provider and name."""
    return [_account(row, _opened(row, vault)) for row in conn.execute(_in_order(select(provider_configs)))]


def overview(conn: Connection) -> Sequence[Row[Any]]:
    """Every account's row without its credentials, by provider and name: for lists, which need no key."""
    shown = [column for column in provider_configs.columns if column.name != "credentials"]
    return conn.execute(_in_order(select(*shown))).all()


def save(conn: Connection, vault: Vault, account: Account) -> None:
    """Write the account's URL, credentials, settings, rate limits and allowed networks.

    A fault noted in `health` is taken as mended.
    """
    _update(
        conn,
        account.id,
        api_url=account.api_url,
        credentials=_sealed(vault, account.secrets, account.webhook_secrets, account.id, account.provider),
        settings=dict(account.settings),
        rate_limits=list(account.rate_limits),
        allowed_ips=list(account.allowed_ips),
        health=None,
    )


def reseal(conn: Connection, vault: Vault, account_id: UUID) -> str | None:
    """Seal the account's credentials with the first key. Returns the id of the key before; None: it was that one.

    Nobody who changes the account comes in between. Raises `UnknownDoor` where it is gone, and `FixConfiguration`.
    """
    query = select(provider_configs).where(_ROW.id == account_id).with_for_update(key_share=True)
    row = conn.execute(query).first()
    if row is None:
        raise UnknownDoor
    before = key_id(row.credentials)
    if before == vault.sealing:
        return None
    _update(conn, account_id, credentials=vault.seal(_opened(row, vault), account_id, row.provider_type))
    return before


def sealed_with(conn: Connection) -> Sequence[tuple[UUID, str, str]]:
    """Every account's id, label and the id of the key that its credentials are sealed with; "": not to be read."""
    query = _in_order(select(_ROW.id, _ROW.provider_type, _ROW.name, _ROW.credentials))
    return [(row.id, f"{row.provider_type}/{row.name}", key_id(row.credentials)) for row in conn.execute(query)]


def schedule(conn: Connection, account_id: UUID, full_at: datetime | None, incremental_at: datetime | None) -> None:
    """When the account's next syncs are due; None: not at all."""
    _update(conn, account_id, next_full_at=full_at, next_incremental_at=incremental_at)


def set_rhythm(
    conn: Connection,
    account_id: UUID,
    *,
    incremental_every: timedelta | None = None,
    full_sync_at: time | None = None,
    reconcile_every: timedelta | None = None,
) -> list[str]:
    """How often the account is synced, and its ledger checked; None: as it was. Returns what was given."""
    given = {
        "incremental_every": incremental_every,
        "full_sync_at": full_sync_at,
        "reconcile_every": reconcile_every,
    }
    values: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if reconcile_every is not None:
        values["next_reconcile_at"] = None
    if values:
        _update(conn, account_id, **values)
    return sorted(name for name in values if name in given)


def set_active(conn: Connection, account_id: UUID, active: bool) -> None:
    """Whether the account is synced and takes deliveries."""
    _update(conn, account_id, is_active=active)


def set_health(conn: Connection, account_id: UUID, fault: str | None) -> None:
    """Note the fault that needs a person, or that all is well."""
    _update(conn, account_id, health=fault)


def remove(conn: Connection, account_id: UUID) -> None:
    """Delete the account, and with it its calls, deliveries and runs."""
    conn.execute(delete(provider_configs).where(_ROW.id == account_id))


def _update(conn: Connection, account_id: UUID, **values: object) -> None:
    conn.execute(update(provider_configs).where(_ROW.id == account_id).values(**values, updated_at=func.now()))


def _in_order(query: Select[Any]) -> Select[Any]:
    return query.order_by(_ROW.provider_type, _ROW.name)


def _sealed(
    vault: Vault, secrets: Mapping[str, str], webhook_secrets: Sequence[str], account_id: UUID, provider: str
) -> str:
    return vault.seal({**secrets, WEBHOOK_SECRETS: list(webhook_secrets)}, account_id, provider)


def _row(conn: Connection, account_id: UUID) -> Any:
    """It is looked up for every page that is fetched."""
    found = session.row(conn, "SELECT * FROM provider_configs WHERE id = %(id)s", {"id": account_id})
    if found is None:
        raise UnknownDoor
    return found


def _opened(row: Row[Any], vault: Vault) -> dict[str, Any]:
    return vault.open(row.credentials, row.id, row.provider_type)


def _account(row: Row[Any], opened: Mapping[str, Any]) -> Account:
    return Account(
        id=row.id,
        provider=row.provider_type,
        name=row.name,
        api_url=row.api_url,
        secrets={key: value for key, value in opened.items() if key != WEBHOOK_SECRETS},
        webhook_secrets=tuple(opened.get(WEBHOOK_SECRETS, ())),
        settings=row.settings,
        rate_limits=tuple(row.rate_limits),
        allowed_ips=tuple(row.allowed_ips),
        is_active=row.is_active,
        full_sync_at=row.full_sync_at,
        incremental_every=row.incremental_every,
        next_full_at=row.next_full_at,
        next_incremental_at=row.next_incremental_at,
        blocked_until=row.blocked_until,
        health=row.health,
    )
