"""Seeing a call again, unchanged, without rewriting its row.

Where a provider's records carry no version, the moment of landing is the version (`calltrack.sync.merge`). A page that
shows a call just as its row remembers it is then still news: anything landed before that page is older than what it
showed. The row is not rewritten for that. The page keeps which calls it confirmed, and as which record (an id and a
digest, 16 bytes each), and a late observation, the only one that could be wrong about it, looks there before it is
merged. The record matters: by then the row may hold another one, which that page did not show.

A provider's records all carry a version or none does. What carries one is not compared with what was confirmed.

Confirming and merging late must not pass each other unseen: pages of such a provider hold a lock on the account while
they are stored, and its unversioned webhooks share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor

from calltrack.model import Observation

_LATER = """
SELECT seen.id, seen.digest, max(page.fetched_at)
FROM sync_pages page, unnest(page.confirmed, page.confirmed_as) seen(id, digest)
WHERE page.account_id = ANY(%s) AND page.fetched_at > %s AND seen.id = ANY(%s)
GROUP BY seen.id, seen.digest
"""


def guard(cursor: Cursor[Any], batch: Iterable[Observation]) -> None:
    """Keep confirmations and late observations of an account apart until the transaction ends."""
    wanted = {one.account_id: False for one in batch if one.dated}
    wanted |= {one.account_id: True for one in batch if one.dated and one.page_id is not None}
    for account, alone in sorted(wanted.items()):
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        cursor.execute(f"SELECT {lock}(hashtextextended(%s, 0))", [f"confirmations {account}"])


def guard_page(cursor: Cursor[Any], account: UUID) -> None:
    """As `guard`, for a page of the account."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"confirmations {account}"])


def later(
    cursor: Cursor[Any], observations: Sequence[Observation], ids: Sequence[UUID]
) -> dict[UUID, list[tuple[bytes, datetime]]]:
    """As which records (their digests) each of these calls was confirmed, and when last.

    By pages landed after the earliest of the unversioned observations: what they are late for.
    """
    unversioned = [one for one in observations if one.dated]
    if not unversioned:
        return {}
    accounts = list({one.account_id for one in unversioned})
    earliest = min(one.landed_at for one in unversioned)
    found: dict[UUID, list[tuple[bytes, datetime]]] = {}
    for call, digest, seen_at in cursor.execute(_LATER, [accounts, earliest, ids]):
        found.setdefault(call, []).append((digest, seen_at))
    return found
