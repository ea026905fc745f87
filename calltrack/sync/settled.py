"""What pages confirmed is written into the rows, before the pages may go (`calltrack.sync.confirmations`).

A page without versions keeps which calls it showed as they were, so that an observation that comes late, and is older
than that, loses against it. That must not end with the page. So each row is told as a late observation would tell it,
and the page forgets, in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from psycopg import Cursor

from calltrack.db import upsert
from calltrack.lookup import forget
from calltrack.sync.confirmations import guard_page
from calltrack.sync.merge import Row, confirm
from calltrack.sync.rows import columns_of, row_of

#: calls that are written in one go
CHUNK = 1000

_CONFIRMED = """
SELECT seen.id, seen.digest, max(page.fetched_at)
FROM sync_pages page, unnest(page.confirmed, page.confirmed_as) seen(id, digest)
WHERE page.id = ANY(%s) GROUP BY seen.id, seen.digest ORDER BY seen.id
"""
_FORGET = "UPDATE sync_pages SET confirmed = NULL, confirmed_as = NULL WHERE id = ANY(%s)"

Seen = tuple[UUID, bytes, datetime]


def settle(cursor: Cursor[Any], account_id: UUID, pages: Sequence[int]) -> int:
    """Write what these pages of an account confirmed into its calls. Returns how many rows that changed."""
    guard_page(cursor, account_id)
    by_call = groupby(cursor.execute(_CONFIRMED, [list(pages)]).fetchall(), key=itemgetter(0))
    seen = {call: list(records) for call, records in by_call}
    calls = list(seen)
    written = 0
    for place in range(0, len(calls), CHUNK):
        written += _raise(cursor, account_id, {call: seen[call] for call in calls[place : place + CHUNK]})
    cursor.execute(_FORGET, [list(pages)])
    return written


def _raise(cursor: Cursor[Any], account_id: UUID, seen: dict[UUID, list[Seen]]) -> int:
    writes = []
    for call, columns in sorted(upsert.CALLS.lock(cursor, list(seen)).items()):
        before = row_of(columns)
        after = Row(before.values, dict(before.stamps))
        for _, record, seen_at in seen[call]:
            confirm(after, record, seen_at)
        if after.stamps != before.stamps:
            values = columns_of(after, columns["content_digest"])
            writes.append(upsert.Staged(call, account_id, "", "", values, None, None, None))
    if writes:
        upsert.CALLS.update(cursor, writes)
        forget.after_commit(cursor, [row.id for row in writes])
    return len(writes)
