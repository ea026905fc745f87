"""Landing a fetched page: its bytes as they came, its successor, and what they say about the slice, all or nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import orjson
from isal import isal_zlib
from sqlalchemy import Connection, text

from calltrack.client.answer import Answer
from calltrack.client.pages import Cursor
from calltrack.db.session import engine, rows
from calltrack.errors import EndlessPages
from calltrack.mapping import Raw
from calltrack.sync import runs
from calltrack.sync.hints import Step
from calltrack.sync.plan import Axis
from calltrack.sync.work import Fetched, Page, Work

#: pages with one and the same content in a slice before it counts as endless: a shift by a whole page may repeat one
REPEATS = 3

_LAND = """
UPDATE sync_pages SET state = 'fetched', body = %(body)s, body_digest = %(digest)s,
    fetched_at = clock_timestamp(), hinted_at = now(), leased_until = NULL, failing_since = NULL,
    reason = NULL, error = NULL
WHERE id = %(page_id)s AND state = 'pending'
RETURNING id, (
    SELECT count(*) FROM sync_pages same WHERE same.slice_id = sync_pages.slice_id
        AND same.number > sync_pages.number - 50 AND same.body_digest = %(digest)s) AS same
"""
_EXPECT = text("""
WITH said AS (UPDATE sync_slices SET expected = :total WHERE id = :slice_id RETURNING run_id)
UPDATE sync_runs SET expected = coalesce(expected, 0) + :total WHERE id = (SELECT run_id FROM said)
""")


def land(work: Work, answer: Answer, records: list[Raw], cursor: Cursor | None, ends: float) -> Fetched:
    """Commit the page's bytes, its successor, and what they say about the slice, in one transaction.

    Whoever goes on claims the successor with it, and with the account as it is: one that was changed is read anew.
    """
    page = work.page
    landing = {"page_id": page["id"], "body": isal_zlib.compress(answer.body, 1), "digest": _digest(answer, records)}
    try:
        with engine().begin() as connection:
            landed = rows(connection, _LAND, landing)
            if not landed:
                return Fetched()
            if (
                page["number"] == 1
                and work.one is None
                and page["axis"] == Axis.CREATED
                and (total := work.calls.pages.total(answer)) is not None
            ):
                connection.execute(_EXPECT, {"slice_id": page["slice_id"], "total": total})
            if cursor is None:
                runs.close_slice(connection, page["slice_id"])
                return Fetched(landed=True)
            if landed[0]["same"] >= REPEATS - 1 and records:
                raise EndlessPages
            following = _open_next(connection, page, cursor, going_on=time.monotonic() < ends)
            if following["leased_until"] is not None:
                return Fetched(True, following=replace(work, page={**page, **following}))
            return Fetched(True, (runs.page_hint(Step.FETCH, following),))
    except EndlessPages:
        return _endless(work, landing)


def _digest(answer: Answer, records: list[Raw]) -> bytes:
    """Of what the page holds: around its records some providers write another number each time."""
    if answer.body.lstrip().startswith(b"["):  # a list has nothing around its records
        return blake2b(answer.body, digest_size=16).digest()
    try:
        content = orjson.dumps(records)
    except TypeError:  # nested deeper than it writes
        content = answer.body
    return blake2b(content, digest_size=16).digest()


def _open_next(connection: Connection, page: Page, cursor: Cursor, *, going_on: bool) -> Mapping[str, Any]:
    place = (page["run_id"], page["slice_id"], page["account_id"], page["provider"])
    as_of = page["account_as_of"] if going_on else None
    return runs.open_page(connection, *place, page["number"] + 1, cursor, as_of=as_of)


def _endless(work: Work, landing: dict[str, Any]) -> Fetched:
    """Keep the page that was fetched, and stop the run: reading on would never end."""
    error = EndlessPages()
    with engine().begin() as connection:
        landed = rows(connection, _LAND, landing)
        runs.fail(connection, work.page["run_id"], error.reason, error.message)
    return Fetched(landed=bool(landed))
