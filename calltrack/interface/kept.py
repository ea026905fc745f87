"""`provider_tracking_numbers`: the numbers that an account holds, in step with the provider."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg.types.json import Jsonb
from sqlalchemy import text

from calltrack.db.accounts import Account
from calltrack.db.session import driver, engine
from calltrack.operations import TrackingNumber

_KEEP = """
INSERT INTO provider_tracking_numbers AS known
    (account_id, provider, external_id, number, campaign_id, is_active, provider_data)
VALUES (%s, %s, %s, %s, %s, true, %s)
ON CONFLICT (account_id, external_id) DO UPDATE SET number = excluded.number, campaign_id = excluded.campaign_id,
    is_active = true, provider_data = excluded.provider_data, updated_at = now()
WHERE (known.number, known.campaign_id, known.is_active, known.provider_data)
    IS DISTINCT FROM (excluded.number, excluded.campaign_id, true, excluded.provider_data)
  AND known.updated_at < %s
"""
_LEAVE = """
UPDATE provider_tracking_numbers SET is_active = false, updated_at = now()
WHERE account_id = %s AND is_active AND NOT external_id = ANY(%s) AND updated_at < %s
"""
_REMOVE = text("""
UPDATE provider_tracking_numbers SET is_active = false, updated_at = now()
WHERE account_id = :account_id AND external_id = :id AND is_active
""")


def now() -> datetime:
    """The present moment, as Postgres has it."""
    with engine().connect() as connection:
        moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment


def replace(account: Account, numbers: Sequence[TrackingNumber], asked_at: datetime) -> None:
    """These were all the numbers there are: the others are no longer active. Their rows stay, for calls name them.

    What somebody else bought or gave back after the list was asked for, it could not know of: that stays as it is.
    """
    in_order = sorted(numbers, key=lambda number: number.id)
    with engine().begin() as connection, driver(connection).cursor() as cursor:
        cursor.executemany(_KEEP, [(*_row(account, number), asked_at) for number in in_order])
        cursor.execute(_LEAVE, [account.id, [number.id for number in numbers], asked_at])


def add(account: Account, number: TrackingNumber) -> None:
    """One more, or one that is there and has changed."""
    with engine().begin() as connection, driver(connection).cursor() as cursor:
        cursor.execute(_KEEP, (*_row(account, number), "infinity"))


def remove(account: Account, number_id: str) -> None:
    """One less."""
    with engine().begin() as connection:
        connection.execute(_REMOVE, {"account_id": account.id, "id": number_id})


def _row(account: Account, number: TrackingNumber) -> tuple[object, ...]:
    return account.id, account.provider, number.id, number.number, number.campaign_id, Jsonb(dict(number.raw))
