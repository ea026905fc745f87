"""`calltrack doctor`: is everything here that calltrack needs, and what to do where it is not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import click
from kombu.connection import Connection as Broker
from kombu.exceptions import OperationalError as BrokerError
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from calltrack import accounts as library
from calltrack import registry
from calltrack.accounts import rotation
from calltrack.cli.connection import servers, vault
from calltrack.config import settings
from calltrack.db import accounts, migrate
from calltrack.db.session import engine
from calltrack.errors import CalltrackError, FixConfiguration
from calltrack.sync import alerts
from calltrack.sync.connections import client_for

#: the oldest major version of Postgres that the SQL is tried on
POSTGRES = 15
#: columns that the subjects of findings take
WIDTH = 20


@dataclass(frozen=True)
class Finding:
    """What a check found: `fault` is None where all is well."""

    subject: str
    found: str = ""
    fault: str | None = None


@click.command()
def doctor() -> None:
    """Check settings, database, broker, migrations and accounts; exit code 1 where something is wrong."""
    faults = 0
    for one in examined():
        mark = click.style("✗", fg="red") if one.fault else click.style("✓", fg="green")
        click.echo(f"{mark} {one.subject:<{WIDTH}} {one.fault or one.found}")
        faults += one.fault is not None
    if faults:
        sys.exit(1)


def examined() -> Iterator[Finding]:
    """All findings. What cannot be looked at, because something before it is missing, is left out."""
    first = finding("settings", lambda: f"read; home is {settings().home}")
    yield first
    if first.fault:
        return
    with servers():
        yield from plugins()
        yield finding("keys", _keys)
        yield finding("redis", _redis)
        yield finding("broker", _broker)
        database = finding("database", _database)
        yield database
        if database.fault:
            return
        schema = finding("schema", _schema)
        yield schema
        if not schema.fault:
            yield from _lost_keys()
            yield from _accounts()
            yield from _alerts()


def finding(subject: str, look: Callable[[], str]) -> Finding:
    """What `look` tells, or the fault that it raises."""
    try:
        return Finding(subject, found=look())
    except CalltrackError as error:
        return Finding(subject, fault=error.message)


def plugins() -> list[Finding]:
    """The providers of other packages that cannot be used."""
    return [Finding(fault.package, fault=fault.message) for fault in registry.faults()]


def _keys() -> str:
    vault()
    return f"sealing with {next(iter(settings().secret_keys))!r}, opening with {len(settings().secret_keys)}"


def _redis() -> str:
    settings().needs("redis_url")
    client = Redis.from_url(str(settings().redis_url), socket_connect_timeout=5, socket_timeout=5)
    try:
        version = client.info("server")["redis_version"]
        policy = client.info("memory").get("maxmemory_policy", "noeviction")
    except RedisError as error:
        raise FixConfiguration(f"Redis does not answer ({type(error).__name__}): check REDIS_URL.") from None
    finally:
        client.close()
    if policy != "noeviction":
        raise FixConfiguration(
            f"Redis may throw messages away: set its maxmemory-policy to noeviction (it is {policy})."
        )
    return f"answers, version {version}"


def _broker() -> str:
    settings().needs("broker_url")
    with Broker(settings().broker_url, connect_timeout=5) as broker:  # type: ignore[no-untyped-call]
        try:
            broker.ensure_connection(max_retries=1, interval_start=0.2, timeout=5)
        except BrokerError:
            raise FixConfiguration(
                "The broker does not answer: check CELERY_BROKER_URL, or REDIS_URL where that is not set."
            ) from None
        return f"answers at {broker.as_uri(mask='…')}"


def _database() -> str:
    try:
        with engine().connect() as conn:
            version = int(conn.scalar(text("SHOW server_version_num")) or 0) // 10_000
    except OperationalError as error:
        raise FixConfiguration(f"The database does not answer: {_reason(error)} Check DATABASE_URL.") from None
    if version < POSTGRES:
        raise FixConfiguration(f"The database is Postgres {version}: calltrack needs {POSTGRES} or newer.")
    return f"answers, Postgres {version}"


def _reason(error: OperationalError) -> str:
    return str(error.orig).strip().splitlines()[0] if error.orig else "no reason given."


def _schema() -> str:
    with engine().connect() as conn:
        due = migrate.pending(conn)
    if due:
        raise FixConfiguration(f"{len(due)} steps are due: run `calltrack db upgrade`.")
    return "up to date"


def _lost_keys() -> Iterator[Finding]:
    """Also for accounts that are disabled."""
    with engine().connect() as conn:
        if settings().secret_keys and (fault := rotation.missing(conn, vault())):
            yield Finding("credentials", fault=fault)


def _accounts() -> Iterator[Finding]:
    with engine().connect() as conn:
        rows = accounts.overview(conn)
    if not rows:
        yield Finding("accounts", found="none yet: add one with `calltrack accounts add PROVIDER --set KEY=VALUE …`.")
    for row in rows:
        subject = f"{row.provider_type}/{row.name}"
        if row.is_active:
            yield finding(subject, partial(_account, row.id))
        else:
            yield Finding(subject, found="disabled, not asked")


def _account(account_id: UUID) -> str:
    with engine().connect() as conn:
        account = accounts.get(conn, vault(), account_id)
    if fault := library.check(account, client_for(account)):
        raise FixConfiguration(fault)
    return "works"


def _alerts() -> Iterator[Finding]:
    with engine().connect() as conn:
        for alert in alerts.list_(conn):
            yield Finding("alert", fault=alert["message"])
