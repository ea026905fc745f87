"""The life of a run: queued → running → completed, failed or cancelled.

Resuming a run is sending hints for the pages that are not stored, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, RowMapping, text

from calltrack import log, registry
from calltrack.client.windows import Window
from calltrack.db import accounts, audit
from calltrack.db.session import engine, rows
from calltrack.errors import EndlessPages, FixConfiguration
from calltrack.sync import lateness
from calltrack.sync.hints import Hint, Step
from calltrack.sync.ledger.asking import unlisted
from calltrack.sync.ledger.settle import settle
from calltrack.sync.plan import Mode, plan
from calltrack.sync.reading import ONE
from calltrack.sync.work import LEASE, MAY_BE_FETCHED

logger = log.get(__name__)

#: how many messages set out to store what a run has fetched: each goes on with what is left
ABREAST = 16

_QUEUED_ALIKE = text("""
SELECT id FROM sync_runs
WHERE account_id = :account_id AND mode = :mode AND state = 'queued'
  AND since IS NOT DISTINCT FROM :since AND until IS NOT DISTINCT FROM :until
""")
_QUEUE = text("""
INSERT INTO sync_runs (account_id, provider, mode, axis, since, until)
VALUES (:account_id, :provider, :mode, 'created', :since, :until) RETURNING id
""")
_LOCKED = text("""
SELECT run.*, account.settings, account.is_active, status.synced_until, now() AS now
FROM sync_runs run JOIN provider_configs account ON account.id = run.account_id
LEFT JOIN sync_status status ON status.account_id = run.account_id
WHERE run.id = :run_id FOR NO KEY UPDATE OF run, account
""")
_IN_THE_WAY = text("""
SELECT id FROM sync_runs
WHERE account_id = :account_id AND axis = :axis AND state = 'running' AND mode NOT IN ('check', 'live')
  AND since < :until AND until > :since LIMIT 1
""")
_BEGIN = text("""
UPDATE sync_runs SET state = 'running', axis = :axis, since = :since, until = :until,
    started_at = now(), progressed_at = now()
WHERE id = :run_id
""")
_SLICE = text("INSERT INTO sync_slices (run_id, since, until) VALUES (:run_id, :since, :until) RETURNING id")
_CLOSE_SLICE = text("UPDATE sync_slices SET state = :state WHERE id = :slice_id")
#: A cursor that comes again would read for ever. Whoever goes on has claimed the page when it is there, where that may
#: be; a statement of its own for that would take a tenth of the time that a page takes.
_PAGE = f"""
INSERT INTO sync_pages (run_id, slice_id, account_id, provider, number, cursor, leased_until, attempts)
SELECT %(run_id)s, %(slice_id)s, %(account_id)s, %(provider)s, %(number)s, CAST(%(cursor)s AS jsonb),
    claimed.leased_until, (claimed.leased_until IS NOT NULL)::int
FROM (SELECT (
    SELECT now() + %(lease)s FROM sync_runs run JOIN provider_configs account ON account.id = run.account_id
    WHERE run.id = %(run_id)s AND account.updated_at = %(as_of)s::timestamptz AND {MAY_BE_FETCHED}
) AS leased_until) claimed
WHERE NOT EXISTS (SELECT FROM sync_pages WHERE slice_id = %(slice_id)s AND cursor = CAST(%(cursor)s AS jsonb))
RETURNING *
"""  # noqa: S608 - a condition of ours, which two statements share
_FINISH = text("""
UPDATE sync_runs run SET state = 'completed', finished_at = now(), progressed_at = now(), reason = NULL, error = NULL
WHERE id = :run_id AND state = 'running'
  AND NOT EXISTS (SELECT FROM sync_slices WHERE run_id = run.id AND state = 'open')
  AND NOT EXISTS (SELECT FROM sync_pages WHERE run_id = run.id AND state <> 'stored')
RETURNING *
""")
_FAIL = text("""
UPDATE sync_runs SET state = 'failed', reason = :reason, error = :error, finished_at = now()
WHERE id = :run_id AND state = 'running' RETURNING *
""")
_CANCEL = text("""
UPDATE sync_runs SET state = 'cancelled', reason = 'cancelled', finished_at = now()
WHERE id = :run_id AND state IN ('queued', 'running') RETURNING *
""")
_STATUS = text("""
INSERT INTO sync_status AS status (account_id, provider, status, error, records_synced, last_sync_at,
    last_successful_sync_at, last_full_sync_at, synced_until)
VALUES (:account_id, :provider, :state, :error, CASE WHEN :state = 'completed' THEN :inserted ELSE 0 END, :finished_at,
    CASE WHEN :state = 'completed' THEN :finished_at END,
    CASE WHEN :state = 'completed' AND :mode = 'full' THEN :finished_at END,
    CASE WHEN :state = 'completed' AND :mode IN ('full', 'incremental') THEN :until END)
ON CONFLICT (account_id) DO UPDATE SET status = excluded.status, error = excluded.error, updated_at = now(),
    records_synced = status.records_synced + excluded.records_synced,
    last_sync_at = excluded.last_sync_at,
    last_successful_sync_at = coalesce(excluded.last_successful_sync_at, status.last_successful_sync_at),
    last_full_sync_at = coalesce(excluded.last_full_sync_at, status.last_full_sync_at),
    synced_until = greatest(status.synced_until, excluded.synced_until)
""")
_REOPEN_RUN = text("""
UPDATE sync_runs SET state = 'running', reason = NULL, error = NULL, finished_at = NULL
WHERE id = :run_id AND started_at IS NOT NULL RETURNING *
""")
#: An endless slice was stopped with all its pages stored: its last page is asked for again.
_REOPEN_SLICES = text("""
UPDATE sync_pages SET state = 'pending', body = NULL, body_digest = NULL
WHERE id IN (
    SELECT max(page.id) FROM sync_slices slice JOIN sync_pages page ON page.slice_id = slice.id
    WHERE slice.run_id = :run_id AND slice.state = 'open'
    GROUP BY slice.id HAVING bool_and(page.state = 'stored')
)
""")
_REOPEN_PAGES = text("""
UPDATE sync_pages SET attempts = 0, next_attempt_at = now(), hinted_at = now(), reason = NULL, error = NULL,
    failing_since = NULL,
    state = CASE WHEN state <> 'failed' THEN state WHEN body IS NULL THEN 'pending' ELSE 'fetched' END
WHERE run_id = :run_id AND state <> 'stored' RETURNING id, provider, number, run_id, state
""")

_STARTABLE = text("""
SELECT id FROM sync_runs
WHERE state = 'queued' AND (CAST(:id AS uuid) IS NULL OR account_id = :id) ORDER BY id
""")


def queue(
    connection: Connection,
    account_id: UUID,
    provider: str,
    mode: Mode,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Put a run in the queue of its account and return its id. The same run already waiting is not doubled."""
    if since and until and since >= until:
        raise FixConfiguration("The range is empty: --since must lie before --until.")
    wanted = {"account_id": account_id, "provider": provider, "mode": mode.value, "since": since, "until": until}
    connection.execute(text("SELECT FROM provider_configs WHERE id = :id FOR NO KEY UPDATE"), {"id": account_id})
    waiting = connection.execute(_QUEUED_ALIKE, wanted).scalar()
    return int(waiting or connection.execute(_QUEUE, wanted).scalar_one())


def begin(connection: Connection, run_id: int) -> list[Hint]:
    """Start a queued run, unless another one of the account reads any of the same range: then it goes on waiting."""
    run = connection.execute(_LOCKED, {"run_id": run_id}).mappings().one_or_none()
    if run is None or run["state"] != "queued" or not run["is_active"]:
        return []
    if run["provider"] not in registry.names():  # its package was removed: it waits until that is back
        return []
    provider = registry.get(run["provider"])
    planned = plan(
        Mode(run["mode"]),
        provider,
        run["settings"],
        now=run["now"],
        since=run["since"],
        until=run["until"],
        synced_until=run["synced_until"],
        overlap=lateness.overlap(connection, run["account_id"], provider.overlap),
    )
    span = {"since": planned.window.since, "until": planned.window.until, "axis": planned.axis.value}
    checks = run["mode"] == Mode.CHECK  # it compares, and is in nobody's way
    if not checks and connection.execute(_IN_THE_WAY, {"account_id": run["account_id"], **span}).scalar():
        return []
    connection.execute(_BEGIN, {"run_id": run_id, **span})
    logger.info("sync run begins", run_id=run_id, provider=run["provider"], mode=run["mode"])
    return [open_slice(connection, run, window) for window in planned.slices]


def open_slice(connection: Connection, run: Mapping[Any, Any], window: Window) -> Hint:
    """Add a slice to a running run, with its first page."""
    run_id = run["id"]
    slice_id = connection.execute(_SLICE, {"run_id": run_id, "since": window.since, "until": window.until}).scalar_one()
    cursor = registry.get(run["provider"]).calls(run["settings"]).pages.first()
    return page_hint(Step.FETCH, open_page(connection, run_id, slice_id, run["account_id"], run["provider"], 1, cursor))


def close_slice(connection: Connection, slice_id: int, state: str = "exhausted") -> None:
    """No more pages follow in the slice: it is read to its end, or `split`."""
    connection.execute(_CLOSE_SLICE, {"slice_id": slice_id, "state": state})


def open_page(
    connection: Connection,
    run_id: int,
    slice_id: int,
    account_id: UUID,
    provider: str,
    number: int,
    cursor: Mapping[str, Any],
    *,
    as_of: datetime | None = None,
) -> Mapping[str, Any]:
    """Add a page to a slice; returns its row. Raises `EndlessPages` where the slice has had this cursor before.

    `as_of`: claim it too, if its account was last changed just then; the page tells by its lease whether it is claimed.
    Who opens the next page of a slice holds the row of the one before: no index needs to keep two of them apart.
    """
    page = {"run_id": run_id, "slice_id": slice_id, "account_id": account_id, "provider": provider, "number": number}
    lease = {"as_of": as_of, "lease": LEASE}
    opened = rows(connection, _PAGE, {**page, **lease, "cursor": orjson.dumps(cursor).decode()})
    if not opened:
        raise EndlessPages
    return opened[0]


def page_hint(step: Step, page: Mapping[Any, Any], delay: float = 0.0) -> Hint:
    """The hint that this is to be done with a page: a row of `sync_pages`."""
    label = f"{page['provider']} page {page['number']} of run {page['run_id']}"
    return Hint(step, page["provider"], page["id"], label, delay)


def finish(connection: Connection, run_id: int) -> tuple[RowMapping | None, list[Hint]]:
    """Complete the run if every page of every slice is stored. Returns it then, else None.

    A check whose list is read may have calls left to ask for: it goes on with the pages that are hinted at.
    """
    run = connection.execute(_FINISH, {"run_id": run_id}).mappings().one_or_none()
    if run is None:
        return None, []
    if run["mode"] == Mode.CHECK and (wanted := unlisted(connection, run)):
        connection.execute(_REOPEN_RUN, {"run_id": run_id})
        return None, open_ones(connection, run, wanted)
    _ended(connection, run)
    connection.execute(text("UPDATE provider_configs SET health = NULL WHERE id = :id"), {"id": run["account_id"]})
    return run, []


def open_ones(connection: Connection, run: Mapping[Any, Any], external_ids: Sequence[str]) -> list[Hint]:
    """Add a slice whose pages are single calls, asked for by their ids."""
    span = {"run_id": run["id"], "since": run["since"], "until": run["until"]}
    slice_id = connection.execute(_SLICE, span).scalar_one()
    close_slice(connection, slice_id)
    place = (run["id"], slice_id, run["account_id"], run["provider"])
    pages = [open_page(connection, *place, number, {ONE: wanted}) for number, wanted in enumerate(external_ids, 1)]
    return [page_hint(Step.FETCH, page) for page in pages]


def fail(connection: Connection, run_id: int, reason: str, error: str) -> RowMapping | None:
    """Stop the run with a reason. What it has stored stays; `resume` goes on from there."""
    run = connection.execute(_FAIL, {"run_id": run_id, "reason": reason, "error": error}).mappings().one_or_none()
    if run is not None:
        logger.error("sync run stopped", run_id=run_id, provider=run["provider"], reason=reason, error=error)
        _ended(connection, run)
    return run


def cancel(connection: Connection, run_id: int) -> bool:
    """Stop a run on somebody's wish. False: there was nothing to stop."""
    run = connection.execute(_CANCEL, {"run_id": run_id}).mappings().one_or_none()
    if run is not None:
        _ended(connection, run)
    return run is not None


def _ended(connection: Connection, run: RowMapping) -> None:
    """Note with the account how its last sync ended; with its bucket, what a check found."""
    if run["mode"] == Mode.CHECK:
        settle(connection, run)
    elif run["mode"] != Mode.LIVE:
        connection.execute(_STATUS, dict(run))
        lateness.fade(connection, run["account_id"])


def resume(connection: Connection, run_id: int) -> list[Hint] | None:
    """Let a stopped run go on: hints that bring its pages on their way. None: there is no such run to resume."""
    run = connection.execute(_LOCKED, {"run_id": run_id}).mappings().one_or_none()
    if run is None or run["state"] == "completed" or run["started_at"] is None:
        return None
    others = {name: run[name] for name in ("account_id", "axis", "since", "until")}
    other = None if run["state"] == "running" else connection.execute(_IN_THE_WAY, others).scalar()
    if other is not None:
        raise FixConfiguration(f"Run {other} reads the same range: wait until it has ended, or cancel it.")
    connection.execute(_REOPEN_RUN, {"run_id": run_id})
    connection.execute(_REOPEN_SLICES, {"run_id": run_id})
    pages = connection.execute(_REOPEN_PAGES, {"run_id": run_id}).mappings().all()
    pending = [page for page in pages if page["state"] == "pending"]
    fetched = [page for page in pages if page["state"] == "fetched"]
    return [unstored(page) for page in (*pending, *fetched[:ABREAST])]


def unstored(page: Mapping[Any, Any]) -> Hint:
    """The hint that brings a page on its way."""
    return page_hint(Step.STORE if page["state"] == "fetched" else Step.FETCH, page)


def startable(connection: Connection, account_id: UUID | None = None) -> Sequence[int]:
    """Queued runs, oldest first: of one account, or of all."""
    return connection.execute(_STARTABLE, {"id": account_id}).scalars().all()


def start(
    provider: str, account: str | None, mode: str, since: datetime | None = None, until: datetime | None = None
) -> tuple[int, list[Hint]]:
    """Queue a sync of an account and begin it if nothing is in its way. Returns the run, and hints for its pages."""
    wanted = _mode(mode)
    registry.get(provider)
    with engine().begin() as connection:
        account_id = accounts.find_id(connection, provider, account)
        _need_active(connection, account_id)
        run_id = queue(connection, account_id, provider, wanted, since, until)
        label = accounts.label(connection, account_id)
        audit.record(connection, "sync.started", label, run=run_id, mode=wanted, since=since, until=until)
    with engine().begin() as connection:
        return run_id, begin(connection, run_id)


def _need_active(connection: Connection, account_id: UUID) -> None:
    query = text("SELECT is_active, provider_type || '/' || name AS label FROM provider_configs WHERE id = :id")
    account = connection.execute(query, {"id": account_id}).mappings().one()
    if not account["is_active"]:
        label = account["label"]
        raise FixConfiguration(
            f"The account {label} is disabled: `calltrack accounts enable {label}` lets it sync again."
        )


def _mode(mode: str) -> Mode:
    try:
        return Mode(mode)
    except ValueError:
        raise FixConfiguration(f"There is no mode {mode!r}. There are: {', '.join(Mode)}.") from None


def resume_run(run_id: int) -> list[Hint]:
    """Let a stopped run go on. Raises `FixConfiguration` where there is nothing to resume."""
    with engine().begin() as connection:
        hints = resume(connection, run_id)
        if hints is None:
            raise FixConfiguration(f"There is no stopped run {run_id}: see `calltrack runs list`.")
        hints += finish(connection, run_id)[1]
        audit.record(connection, "run.resumed", f"run {run_id}", pages=len(hints))
    return hints


def cancel_run(run_id: int) -> None:
    """Stop a run. Raises `FixConfiguration` where it is not under way."""
    with engine().begin() as connection:
        if not cancel(connection, run_id):
            raise FixConfiguration(f"Run {run_id} is not under way: see `calltrack runs list`.")
        audit.record(connection, "run.cancelled", f"run {run_id}")
