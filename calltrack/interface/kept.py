"""`provider_tracking_numbers`: the numbers that an account holds, in step with the provider."""

from __future__ import annotations

from collections.abc import Sequence

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
"""
_LEAVE = """
UPDATE provider_tracking_numbers SET is_active = false, updated_at = now()
WHERE account_id = %s AND is_active AND NOT external_id = ANY(%s)
"""
_REMOVE = text("""
UPDATE provider_tracking_numbers SET is_active = false, updated_at = now()
WHERE account_id = :account_id AND external_id = :id AND is_active
""")


def replace(account: Account, numbers: Sequence[TrackingNumber]) -> None:
    """These are all the numbers there are: the others are no longer active. Their rows stay: calls name them."""
    with engine().begin() as connection, driver(connection).cursor() as cursor:
        cursor.executemany(_KEEP, [_row(account, number) for number in sorted(numbers, key=lambda one: one.id)])
        cursor.execute(_LEAVE, [account.id, [number.id for number in numbers]])


def add(account: Account, number: TrackingNumber) -> None:
    """One more, or one that is there and has changed."""
    with engine().begin() as connection, driver(connection).cursor() as cursor:
        cursor.execute(_KEEP, _row(account, number))


def remove(account: Account, number_id: str) -> None:
    """One less."""
    with engine().begin() as connection:
        connection.execute(_REMOVE, {"account_id": account.id, "id": number_id})


def _row(account: Account, number: TrackingNumber) -> tuple[object, ...]:
    return account.id, account.provider, number.id, number.number, number.campaign_id, Jsonb(dict(number.raw))
