"""Why a call's row says what it says, or why there is no row: out of everything that was ever landed about it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from calltrack import registry
from calltrack.errors import CalltrackError, NotACall
from calltrack.model import Observation, call_id
from calltrack.sync import retention
from calltrack.sync.merge import load_stamps
from calltrack.sync.reading import SHADOW, read_delivery, read_page

_ACCOUNTS = text("""
SELECT account.id, account.provider_type AS provider, account.name, account.settings, account.is_active, account.mode,
    status.synced_until, status.last_full_sync_at
FROM provider_configs account LEFT JOIN sync_status status ON status.account_id = account.id
WHERE CAST(:provider AS text) IS NULL OR account.provider_type = :provider
ORDER BY account.provider_type, account.name
""")
_CALL = text("SELECT * FROM calls WHERE account_id = :account_id AND (external_id = :wanted OR id = :id)")
#: bytes are compared: the id stands in the body as it is, whatever is around it
_DELIVERIES = text("""
SELECT * FROM webhook_logs
WHERE account_id = :account_id AND (call_id = :id OR position(convert_to(:wanted, 'UTF8') IN body) > 0
    OR position(:wanted IN query) > 0)
ORDER BY received_at, id
""")
#: pages that can hold a call of this time; all of the account's where the time is not known
_PAGES = text("""
SELECT page.*, run.mode FROM sync_pages page
JOIN sync_runs run ON run.id = page.run_id JOIN sync_slices slice ON slice.id = page.slice_id
WHERE page.account_id = :account_id AND page.body IS NOT NULL
  AND (CAST(:started_at AS timestamptz) IS NULL OR page.fetched_at >= :started_at AND (run.axis = 'changed'
    OR :started_at BETWEEN slice.since - interval '1 day' AND slice.until + interval '1 day'))
ORDER BY page.fetched_at, page.id
""")
_CHANGES = text("SELECT page_id, delivery_id, event, changed, created_at FROM call_events WHERE call_id = :id")
_REJECTED = text("""
SELECT id, reason, detail, page_id, delivery_id, resolved_at FROM rejected_records
WHERE account_id = :account_id AND position(convert_to(:wanted, 'UTF8') IN raw) > 0 ORDER BY id
""")
_RUNS = text("""
SELECT id, mode, state, error FROM sync_runs
WHERE account_id = :account_id AND state IN ('queued', 'running', 'failed') ORDER BY id DESC LIMIT 5
""")
#: pages that are decompressed in one go
STREAM = 50


@dataclass(frozen=True)
class Seen:
    """One observation of the call."""

    at: datetime
    #: "page 3 of run 7 (full)", "delivery 42 (completed, verified)"
    door: str
    #: "inserted", "updated", or "" where it changed nothing
    event: str
    #: the columns that it changed
    changed: tuple[str, ...]
    #: what became of it where it is not in the row: why a delivery was rejected, say
    note: str
    #: of the observation, as the row remembers it; None where it was none
    digest: str | None


@dataclass
class Explanation:
    """Everything that is known about a call at one account."""

    account: str
    external_id: str
    call_id: UUID
    #: the row; None: there is none
    row: dict[str, Any] | None
    #: field → which observation gave it
    given_by: dict[str, str] = field(default_factory=dict)
    #: in the order of landing
    seen: list[Seen] = field(default_factory=list)
    #: where there is no row: sentences that say why
    absent_because: list[str] = field(default_factory=list)
    #: "pages", "deliveries", "events" → since when they are kept: older ones may have told of it too
    kept_since: dict[str, datetime] = field(default_factory=dict)


def explain(connection: Connection, wanted: str, provider: str | None = None) -> list[Explanation]:
    """What is known about the call with this id, ours or the provider's, at each account that knows anything.

    Where no account does, what every account can say about that.
    """
    accounts = connection.execute(_ACCOUNTS, {"provider": provider}).mappings().all()
    found = [_explained(connection, account, wanted) for account in accounts]
    return [one for one in found if one.row or one.seen] or found


def _explained(connection: Connection, account: RowMapping, wanted: str) -> Explanation:
    row = _row(connection, account, wanted)
    external_id = row["external_id"] if row else wanted
    key = call_id(account["id"], external_id)
    told = Explanation(f"{account['provider']}/{account['name']}", external_id, key, dict(row) if row else None)
    told.kept_since = retention.kept_since(connection)
    changes = list(connection.execute(_CHANGES, {"id": key}).mappings())
    told.seen = sorted(_seen(connection, account, told, changes), key=lambda seen: seen.at)
    if row:
        told.given_by = _given_by(told)
    else:
        told.absent_because = list(_absence(connection, account, told))
    return told


def _row(connection: Connection, account: RowMapping, wanted: str) -> RowMapping | None:
    ours = None
    with suppress(ValueError):
        ours = UUID(wanted)
    wanted_row = {"account_id": account["id"], "wanted": wanted, "id": ours}
    return connection.execute(_CALL, wanted_row).mappings().first()


def _seen(connection: Connection, account: RowMapping, told: Explanation, changes: list[RowMapping]) -> Iterator[Seen]:
    sought = {"account_id": account["id"], "wanted": told.external_id, "id": told.call_id}
    for delivery in connection.execute(_DELIVERIES, sought).mappings():
        yield _seen_delivery(account, delivery, changes)
    for change in changes:
        if change["page_id"] is None and change["delivery_id"] is None:
            columns = tuple(sorted(change["changed"] or ()))
            yield Seen(change["created_at"], "a remap of what was landed", change["event"], columns, "", None)
    started_at = told.row["started_at"] if told.row else None
    streaming = connection.execution_options(yield_per=STREAM)
    for page in streaming.execute(_PAGES, {**sought, "started_at": started_at}).mappings():
        yield from _seen_on(account, page, told, changes)


def _seen_delivery(account: RowMapping, delivery: RowMapping, changes: list[RowMapping]) -> Seen:
    observations: list[Observation] = []
    with suppress(NotACall, CalltrackError):
        mapper = registry.get(account["provider"]).mapper
        observations = read_delivery({**delivery, "settings": account["settings"]}, mapper).observations
    event = delivery["event_type"] or ""
    words = ", ".join(filter(None, (event, "verified" if delivery["verified"] else "not verified")))
    note = "" if delivery["state"] == "processed" else " ".join(filter(None, (delivery["state"], delivery["reason"])))
    what, changed = _change(changes, "delivery_id", delivery["id"])
    digest = observations[0].digest.hex() if observations else None
    return Seen(delivery["received_at"], f"delivery {delivery['id']} ({words})", what, changed, note, digest)


def _seen_on(account: RowMapping, page: RowMapping, told: Explanation, changes: list[RowMapping]) -> Iterator[Seen]:
    """The call on a page. Most pages do not hold it, and are not read for that."""
    if told.external_id.encode() not in zlib.decompress(page["body"]):
        return
    with suppress(NotACall, CalltrackError):
        sight = read_page({**page, "settings": account["settings"]}, registry.get(account["provider"]).mapper)
        where = f"page {page['number']} of run {page['run_id']} ({page['mode']})"
        note = "" if page["state"] == "stored" else f"{page['state']}, not stored"
        for one in sight.observations:
            if one.record.external_id == told.external_id:
                what, changed = _change(changes, "page_id", page["id"])
                yield Seen(page["fetched_at"], where, what, changed, note, one.digest.hex())


def _change(changes: list[RowMapping], door: str, number: int) -> tuple[str, tuple[str, ...]]:
    made = [change for change in changes if change[door] == number]
    if not made:
        return "", ()
    columns = {name for change in made for name in change["changed"] or ()}
    return made[0]["event"], tuple(sorted(columns))


def _given_by(told: Explanation) -> dict[str, str]:
    """Field → the door of the observation that gave it; a digest where that one is not kept any more."""
    assert told.row is not None
    doors = {seen.digest: seen.door for seen in reversed(told.seen) if seen.digest}  # the first that said so
    stamps = load_stamps(told.row["observations"], {name: told.row.get(name) for name in told.row})
    return {
        name: doors.get(stamp.digest, f"an observation that is not kept ({stamp.digest[:8]})")
        for name, stamp in stamps.items()
        if told.row.get(name) is not None and name not in NO_FIELDS
    }


NO_FIELDS = frozenset(
    {
        *("id", "account_id", "provider", "external_id", "observations", "content_digest", "provider_data"),
        *("last_synced_at", "created_at", "updated_at"),
    }
)


def _absence(connection: Connection, account: RowMapping, told: Explanation) -> Iterator[str]:
    sought = {"account_id": account["id"], "wanted": told.external_id}
    for reject in connection.execute(_REJECTED, sought).mappings():
        came = f"page {reject['page_id']}" if reject["page_id"] else f"delivery {reject['delivery_id']}"
        why = f"{reject['reason']}; {reject['detail']}"
        yield f"A record that names it was rejected ({why}): record {reject['id']}, {came}."
    for seen in told.seen:
        if seen.note:
            yield f"{seen.door[0].upper()}{seen.door[1:]} tells of it: {seen.note}."
    if not account["is_active"]:
        yield "The account is disabled: it is not synced, and takes no deliveries."
    if account["mode"] == SHADOW:
        yield "The account is in shadow mode: its calls are not written. See `calltrack shadow report`."
    for run in connection.execute(_RUNS, sought).mappings():
        yield f"Run {run['id']} ({run['mode']}) is {run['state']}{': ' + run['error'] if run['error'] else ''}."
    if account["synced_until"] is None:
        yield "No sync of the account was completed yet."
    elif not told.seen:
        full = (
            f", the last full sync {account['last_full_sync_at']:%Y-%m-%d %H:%M}"
            if account["last_full_sync_at"]
            else ""
        )
        yield (
            f"The provider's list up to {account['synced_until']:%Y-%m-%d %H:%M} UTC has been read{full}: "
            f"it was on no page, and in no delivery{' that is still kept' if told.kept_since else ''}."
        )
