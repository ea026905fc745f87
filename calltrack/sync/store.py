"""Storing one fetched page: its calls, its rejects, the change log and its state commit together, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Cursor
from sqlalchemy import Connection, text
from structlog.contextvars import bound_contextvars

from calltrack import registry
from calltrack.db.session import driver, engine, rows
from calltrack.sync import arrivals, lateness, progress, rejects, runs, schedule
from calltrack.sync.again import NOTHING, Held, held_before, held_by
from calltrack.sync.hints import Hint, Step
from calltrack.sync.ingest import Outcome, ingest
from calltrack.sync.ledger.check import check
from calltrack.sync.observe import Sight
from calltrack.sync.plan import Mode
from calltrack.sync.reading import read_page, readings

MAX_ATTEMPTS = 12
#: a row of `sync_pages`, with its account and run, or of `sync_runs`
Books = Mapping[str, Any]
#: seconds that one message may keep a worker storing
GOING_ON = 1.0

_TAKE = """
SELECT page.*, run.mode, account.settings, account.name AS account, account.mode AS account_mode,
    account.shadow_mapper, (SELECT synced_until FROM sync_status WHERE account_id = page.account_id) AS synced_until
FROM sync_pages page JOIN provider_configs account ON account.id = page.account_id
JOIN sync_runs run ON run.id = page.run_id
WHERE page.state = 'fetched' AND {which} FOR UPDATE OF page SKIP LOCKED FOR KEY SHARE OF account
"""
#: `(SELECT …)`: as in `calltrack.sync.work`, planned once
_THIS = _TAKE.format(which="page.id = (SELECT %(page_id)s::bigint)")
#: Of the provider's runs the one that was stored from longest ago has its turn: a sync of years lets others through.
#: Of that run the first page that was fetched and that nobody has taken, along the index of just that. By id there is
#: another way, past everything that is stored, and Postgres would take it where most pages wait.
_NEXT = _TAKE.format(
    which="""page.id = (
    WITH turn AS MATERIALIZED (
        SELECT id FROM sync_runs
        WHERE state = 'running' AND provider = %(provider)s
            OR id = (SELECT run_id FROM sync_pages WHERE id = (SELECT %(page_id)s::bigint))
        ORDER BY progressed_at)
    SELECT waiting.id FROM turn CROSS JOIN LATERAL (
        SELECT id FROM sync_pages WHERE run_id = turn.id AND state = 'fetched' AND next_attempt_at <= now()
        ORDER BY fetched_at LIMIT 1 FOR UPDATE SKIP LOCKED) waiting
    LIMIT 1)"""
)
_COUNTS = ("fetched", "inserted", "updated", "unchanged", "rejected", "duplicates", "excluded")
#: The page's books, and what they add to the run's: a page that is stored again is not counted twice. `stored_at` is
#: not when the transaction began: the mode by which the page was read may have been set since then.
_STORED = """
WITH page AS (
    SELECT id, run_id, stored_at, fetched, inserted, updated, unchanged, rejected, duplicates, excluded
    FROM sync_pages WHERE id = (SELECT %(page_id)s::bigint)
), stored AS (
    UPDATE sync_pages SET state = 'stored', stored_at = clock_timestamp(), reason = NULL, error = NULL,
        confirmed = %(confirmed)s, confirmed_as = %(confirmed_as)s, held = %(held)s,
        mapper_version = %(mapper_version)s, fetched = %(fetched)s, inserted = %(inserted)s, updated = %(updated)s,
        unchanged = %(unchanged)s, rejected = %(rejected)s, duplicates = %(duplicates)s, excluded = %(excluded)s
    WHERE id = (SELECT %(page_id)s::bigint)
)
UPDATE sync_runs run SET pages = run.pages + CASE WHEN page.stored_at IS NULL THEN 1 ELSE 0 END,
    progressed_at = now(),
    fetched = run.fetched + %(fetched)s - page.fetched, inserted = run.inserted + %(inserted)s - page.inserted,
    updated = run.updated + %(updated)s - page.updated, unchanged = run.unchanged + %(unchanged)s - page.unchanged,
    rejected = run.rejected + %(rejected)s - page.rejected,
    duplicates = run.duplicates + %(duplicates)s - page.duplicates,
    excluded = run.excluded + %(excluded)s - page.excluded,
    reason = CASE WHEN run.state <> 'running' THEN run.reason END,
    error = CASE WHEN run.state <> 'running' THEN run.error END
FROM page WHERE run.id = page.run_id
RETURNING run.*, EXISTS (SELECT FROM sync_slices WHERE run_id = run.id AND state = 'open') AS reading
"""
_FAILED = text("""
UPDATE sync_pages SET attempts = attempts + 1, reason = :reason,
    next_attempt_at = now() + least(2 ^ attempts, 300) * interval '1 second', hinted_at = now() - interval '1 hour',
    state = CASE WHEN attempts + 1 >= :most THEN 'failed' ELSE state END, error = :error
WHERE id = :page_id AND state = 'fetched' RETURNING state, run_id, attempts
""")


@dataclass(frozen=True)
class _Stored:
    """A page that was stored just now, and its run as it stands."""

    run: Books
    page: Books


def store(page_id: int) -> list[Hint] | None:
    """Store one page, if it is fetched and nobody else is at it. None: there was nothing to do.

    Returns hints for what the run has to fetch besides, and for the runs that may begin because this one has ended.
    """
    stored = _store_one(_THIS, page_id)
    return _finish(stored) if stored is not None else None


def store_on(page_id: int, provider: str, seconds: float = GOING_ON) -> Iterator[Sequence[Hint]]:
    """Store a page, and for so long whatever else of its provider is fetched, each run in its turn: a message for each
    page would cost too much, and one that belongs to a small run must not wait behind those of a large one.

    Yields hints as `store` returns them, when they are due, and last one for what is left. Whoever stores a run's last
    page finds nothing after it, or has no time to look: either way it then completes the run, which therefore need not
    be tried after every page.
    """
    ends = time.monotonic() + seconds
    stored = _store_one(_THIS, page_id) or _store_one(_NEXT, page_id, provider)
    while stored is not None and time.monotonic() < ends:
        last, stored = stored, _store_one(_NEXT, page_id, provider)
        if stored is None or stored.run["id"] != last.run["id"]:
            yield _finish(last)
    if stored is not None:
        yield [*_finish(stored), runs.page_hint(Step.STORE, stored.page)]


def _store_one(which: LiteralString, page_id: int, provider: str | None = None) -> _Stored | None:
    try:
        with engine().begin() as connection:
            taken = rows(connection, which, {"page_id": page_id, "provider": provider})
            if not taken:
                return None
            page = taken[0]
            page_id = page["id"]
            with bound_contextvars(account=f"{page['provider']}/{page['account']}", run_id=page["run_id"]):
                run, fetched = _store(connection, page)
    except Exception as error:
        _failed(page_id, error)
        raise
    progress.report(run, fetched)
    return _Stored(run, page)


def _finish(stored: _Stored) -> list[Hint]:
    """Complete the run, if every slice is read to its end and every page is stored."""
    if stored.run["reading"]:
        return []
    with engine().begin() as connection:
        completed, hints = runs.finish(connection, stored.run["id"])
    if completed is None:
        return hints
    progress.report(completed, 0)
    return [*hints, *schedule.begin_queued(completed["account_id"])]


def _confirmed(confirmed: Sequence[tuple[UUID, bytes]]) -> dict[str, list[Any] | None]:
    """The calls that a page showed as they were, and as which records, as two columns."""
    calls, digests = zip(*confirmed, strict=True) if confirmed else ((), ())
    return {"confirmed": list(calls) or None, "confirmed_as": list(digests) or None}


def _store(connection: Connection, page: Books) -> tuple[Books, int]:
    held = held_before(connection, page)
    if held is not None:
        return _stored_again(connection, page, held)
    first, *beside = readings(page)
    sight = read_page(page, first.mapper)
    with driver(connection).cursor() as cursor:
        if page["mode"] == Mode.CHECK:
            outcome = check(cursor, page, sight)
        else:
            # Before the first sync is through there is nothing in `calls`, save what webhooks told.
            outcome = ingest(cursor, sight.observations, new=page["synced_until"] is None, target=first.target)
        refused = [*sight.rejects, *(rejects.of(one, reason) for one, reason in outcome.refused)]
        rejects.keep(cursor, refused)
        for reading in beside:
            ingest(cursor, read_page(page, reading.mapper).observations, target=reading.target)
        _note_news(cursor, page, outcome)
    holds = held_by(page, sight, outcome, first.mapper.version) if first.target.logged else None
    columns = {**_confirmed(outcome.confirmed), **(holds.columns() if holds else NOTHING)}
    return _note_stored(connection, page, _counts(sight, len(refused), outcome), columns)


def _stored_again(connection: Connection, page: Books, held: Held) -> tuple[Books, int]:
    """A page that has nothing new: each of its calls is as it was, and confirmed where nothing else says so."""
    versioned = registry.get(page["provider"]).versioned
    confirmed = [] if versioned else held.records
    counts = {**dict.fromkeys(_COUNTS, 0), "fetched": len(held), "unchanged": len(held)}
    return _note_stored(connection, page, counts, {**_confirmed(confirmed), **held.columns()})


def _note_stored(
    connection: Connection, page: Books, counts: dict[str, int], columns: dict[str, Any]
) -> tuple[Books, int]:
    """Note them with the page and its run. Returns the run, and how many records the page had."""
    noted = rows(connection, _STORED, {"page_id": page["id"], **columns, **counts})
    return noted[0], counts["fetched"]


def _note_news(cursor: Cursor[Any], page: Books, outcome: Outcome) -> None:
    """What the page says about the provider's habits.

    The very first sync says nothing, for everything is news to it; nor does a call that was asked for by its id.
    """
    if not outcome.news or page["synced_until"] is None or page["mode"] == Mode.LIVE:
        return
    by_change = registry.get(page["provider"]).calls(page["settings"]).changes is not None
    account, landed = page["account_id"], page["fetched_at"]
    lateness.note(
        cursor, account, outcome.news, landed_at=landed, synced_until=page["synced_until"], by_change=by_change
    )
    arrivals.note_polled(cursor, account, outcome.news, landed)


def _counts(sight: Sight, rejected: int, outcome: Outcome) -> dict[str, int]:
    """Every record of the page in exactly one count."""
    return {
        "fetched": len(sight.observations) + len(sight.rejects) + len(sight.excluded),
        "inserted": outcome.inserted,
        "updated": outcome.updated,
        "unchanged": outcome.unchanged,
        "rejected": rejected,
        "duplicates": outcome.duplicates,
        "excluded": len(sight.excluded),
    }


def _failed(page_id: int, error: Exception) -> None:
    """Note that storing failed for a reason of ours; after several tries the run stops with it."""
    note = {"reason": "store_failed", "error": f"Storing the page failed: {type(error).__name__}."}
    with engine().begin() as connection:
        values = {"page_id": page_id, "most": MAX_ATTEMPTS, **note}
        page = connection.execute(_FAILED, values).mappings().one_or_none()
        if page is not None and page["state"] == "failed":
            runs.fail(connection, page["run_id"], **note)
