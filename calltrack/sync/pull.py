"""Fetching one page: claim it, ask the provider, land the answer byte for byte, and open the next page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson
from isal import isal_zlib
from sqlalchemy import Connection, text
from structlog.contextvars import bound_contextvars

from calltrack import log, registry
from calltrack.client.answer import Answer, dig
from calltrack.client.ask import Request
from calltrack.client.budget import Lane
from calltrack.client.pages import Cursor
from calltrack.client.retry import Decision, decide
from calltrack.client.windows import Window
from calltrack.db import accounts
from calltrack.db.accounts import Account
from calltrack.db.session import engine, rows
from calltrack.errors import (
    CalltrackError,
    EndlessPages,
    FixConfiguration,
    NotThere,
    RequestRefused,
    SliceTooLarge,
    TryLater,
)
from calltrack.mapping import Context, Raw
from calltrack.mapping.times import moment
from calltrack.patience import patience
from calltrack.provider import Calls, Provider
from calltrack.sync import runs
from calltrack.sync.connections import client_for, vault
from calltrack.sync.hints import Hint, Step
from calltrack.sync.plan import Axis, Mode, halves
from calltrack.sync.reading import ONE

#: seconds that one message may keep a worker fetching, and how often it then says that pages want storing: not while
#: they have waited for a second already, for then more messages would only wait with them
GOING_ON = 1.0
TELLING = 0.1
#: a fetch that takes longer than this is taken for dead, and the page may be claimed again
LEASE = timedelta(seconds=patience(120))
#: waits up to this long are a message with a delay; longer ones are left to the row
LONGEST_DELAY = 60.0
#: and from this many seconds on the run says what it waits for
NOTEWORTHY = 5.0
MAX_RETRIES = 7
#: a provider that fails at everything is asked again this often (seconds), for so long, before a run is stopped
OUTAGE_WAIT = patience(60)
LONGEST_OUTAGE = timedelta(hours=24)
#: pages with one and the same content in a slice before it counts as endless: a shift by a whole page may repeat one
REPEATS = 3

#: which lane of the request budget a run takes
LANES = {
    Mode.LIVE.value: Lane.LIVE,
    Mode.INCREMENTAL.value: Lane.INCREMENTAL,
    Mode.RECOVER.value: Lane.REPAIR,
    Mode.CHECK.value: Lane.REPAIR,
}

#: a row of `sync_pages`, with its slice's range, its run's mode and axis, and its account's name and settings
Page = Mapping[str, Any]

logger = log.get(__name__)

#: `(SELECT …)` keeps Postgres from planning this anew each time, which costs more than it does: with the id at hand one
#: partition looks cheaper than all of them, and which one it is it also finds with the plan that it has
_CLAIM = """
UPDATE sync_pages page SET leased_until = now() + %(lease)s, attempts = attempts + 1
FROM sync_runs run, sync_slices slice, provider_configs account
WHERE page.id = (SELECT CAST(%(page_id)s AS bigint))
  AND page.state = 'pending' AND page.next_attempt_at <= now() + interval '1 second'
  AND (page.leased_until IS NULL OR page.leased_until < now())
  AND run.id = page.run_id AND run.state = 'running' AND slice.id = page.slice_id
  AND account.id = page.account_id AND account.is_active
  AND (account.blocked_until IS NULL OR account.blocked_until < now())
  AND (%(as_of)s::timestamptz IS NULL OR account.updated_at = %(as_of)s)
RETURNING page.*, run.mode, run.axis, slice.since, slice.until,
    account.settings, account.name AS account, account.updated_at AS account_as_of
"""
_LAND = """
UPDATE sync_pages SET state = 'fetched', body = %(body)s, body_digest = %(digest)s,
    fetched_at = clock_timestamp(), hinted_at = now(), leased_until = NULL, failing_since = NULL,
    reason = NULL, error = NULL
WHERE id = %(page_id)s AND state = 'pending'
RETURNING id, (
    SELECT count(*) FROM sync_pages same WHERE same.slice_id = sync_pages.slice_id
        AND same.number > sync_pages.number - 50 AND same.body_digest = %(digest)s) AS same
"""
_LAGS = """
SELECT EXISTS (SELECT FROM sync_pages
    WHERE run_id = %(run_id)s AND state = 'fetched' AND fetched_at < now() - interval '1 second') AS lags
"""
_EXHAUSTED = text("UPDATE sync_slices SET state = :state WHERE id = :slice_id")
_EXPECT = text("""
WITH said AS (UPDATE sync_slices SET expected = :total WHERE id = :slice_id RETURNING run_id)
UPDATE sync_runs SET expected = coalesce(expected, 0) + :total WHERE id = (SELECT run_id FROM said)
""")
_PARK = text("""
UPDATE sync_pages SET next_attempt_at = now() + :wait, hinted_at = now() + :hint, leased_until = NULL,
    failing_since = CASE WHEN :uncounted = 0 THEN coalesce(failing_since, now()) ELSE failing_since END,
    attempts = attempts - :uncounted, reason = :reason, error = :error
WHERE id = :page_id AND state = 'pending'
""")
#: what a run waits for is to be seen in its row; the next page that is stored clears it
_WAITS = text("UPDATE sync_runs SET reason = :reason, error = :error WHERE id = :run_id AND state = 'running'")
#: whether the provider fails at everything, and not just at this page, and does so not for ever
_OUTAGE = text("""
SELECT coalesce(failing_since, now()) > now() - :longest AND NOT EXISTS (
    SELECT FROM sync_pages other WHERE other.account_id = page.account_id AND other.fetched_at > page.failing_since)
FROM sync_pages page WHERE id = :page_id
""")
_BLOCK = text(
    "UPDATE provider_configs SET blocked_until = greatest(blocked_until, now() + :wait) WHERE id = :account_id"
)
_FAIL = text("""
UPDATE sync_pages SET state = 'failed', leased_until = NULL, reason = :reason, error = :error
WHERE id = :page_id AND state = 'pending'
""")
_DROP = text("DELETE FROM sync_pages WHERE id = :page_id AND state = 'pending'")


@dataclass(frozen=True)
class Work:
    """A claimed page with everything that fetching it needs."""

    page: Page
    account: Account
    provider: Provider
    calls: Calls

    @property
    def window(self) -> Window:
        return Window(self.page["since"], self.page["until"])

    @property
    def lane(self) -> Lane:
        return LANES.get(self.page["mode"], Lane.BACKFILL)

    @property
    def most_attempts(self) -> int:
        return int(self.account.settings.get("max_retries") or MAX_RETRIES) + 1

    @property
    def retry_delay(self) -> float:
        """Seconds: what the backoff begins with."""
        return float(self.account.settings.get("retry_delay") or 1.0)

    @property
    def one(self) -> str | None:
        """The call that this page is, where it is asked for by its id."""
        external_id: str | None = self.page["cursor"].get(ONE)
        return external_id

    def request(self) -> Request:
        """The request for this page, without credentials."""
        if self.one is None:
            changed, zone = self.page["axis"] == Axis.CHANGED, Context(self.account.settings).zone
            return self.calls.page(self.page["cursor"], self.window, zone, changed=changed)
        if self.calls.one is None:
            raise FixConfiguration(f"{self.provider.title} gives no single call: cancel the run.")
        return self.calls.one.request({"id": self.one})


@dataclass(frozen=True)
class Fetched:
    """What came of looking at a page."""

    #: the page is in the ledger and wants storing
    landed: bool = False
    #: further pages to fetch
    hints: tuple[Hint, ...] = ()
    #: the page behind it, where that is claimed already: it has no hint, and is to be fetched right now
    following: Work | None = None


def fetch_on(page_id: int, seconds: float = GOING_ON) -> Iterator[Sequence[Hint]]:
    """Fetch a page, and for so long those behind it, while they come at once: a message for each would cost as much as
    fetching it does. Yields hints when they are due: that pages want storing, and last those for the pages left.
    """
    told = time.monotonic()
    ends = told + seconds
    fetched = fetch(page_id, ends)
    while (work := fetched.following) is not None:
        fetched = _fetch(work, ends)
        if time.monotonic() > told + TELLING:
            told = time.monotonic()
            if not _storing_lags(work.page["run_id"]):
                yield [runs.page_hint(Step.STORE, work.page)]
    yield fetched.hints


def _storing_lags(run_id: int) -> bool:
    with engine().connect() as connection:
        return bool(rows(connection, _LAGS, {"run_id": run_id})[0]["lags"])


def fetch(page_id: int, ends: float = 0.0) -> Fetched:
    """Fetch one page, if it is still to be fetched and nobody else is at it.

    Until `ends` (seconds, of the monotonic clock) the page behind it is claimed as soon as it is known.
    """
    with engine().begin() as connection:
        page = _claim(connection, page_id)
        if page is None:
            return Fetched()
        account = _account(connection, page["account_id"])
    if isinstance(account, CalltrackError):
        with _named(page):
            return _fail(page, account)
    provider = registry.get(page["provider"])
    return _fetch(Work(page, account, provider, provider.calls(account.settings)), ends)


def _claim(connection: Connection, page_id: int, as_of: datetime | None = None) -> Page | None:
    """The page, for us alone until it is fetched. `as_of`: only if its account was last changed just then."""
    claimed = rows(connection, _CLAIM, {"page_id": page_id, "lease": LEASE, "as_of": as_of})
    return claimed[0] if claimed else None


def _named(page: Page) -> AbstractContextManager[None]:
    """What the log says meanwhile is about this page."""
    account = f"{page['provider']}/{page['account']}"
    return bound_contextvars(account=account, run_id=page["run_id"], page=page["number"])


def _fetch(work: Work, ends: float) -> Fetched:
    with _named(work.page):
        return _fetched(work, ends)


def _fetched(work: Work, ends: float) -> Fetched:
    try:
        answer = _ask(work)
        records = work.calls.read(answer) if work.one is None else work.calls.read_one(answer)
        cursor = _next(work, answer, records) if work.one is None else None
    except SliceTooLarge:
        return _split(work)
    except CalltrackError as error:
        decision = decide(error, work.page["attempts"], work.most_attempts, base=work.retry_delay)
        if decision.kind == "retry" or (isinstance(error, TryLater) and _outage(work.page)):
            return _park(work, error, decision)
        return _fail(work.page, error)
    return _land(work, answer, records, cursor, ends)


def _ask(work: Work) -> Answer:
    """The provider's answer; of a call that it does not have, an empty one.

    A later page that is refused, although the first one was not, is one that the provider pages no further to: an
    offset that is too large, a cursor that has expired. Shorter slices are then read from their beginnings.
    """
    try:
        return client_for(work.account).send(work.request(), work.lane)
    except NotThere:
        if work.one is None and work.page["number"] == 1:
            raise
    except RequestRefused:
        if work.one is not None or work.page["number"] == 1:
            raise
    if work.one is None:
        raise SliceTooLarge
    return Answer(404, {}, b"")


def _account(connection: Connection, account_id: UUID) -> Account | CalltrackError:
    """The account, opened; or why it cannot be: a key is missing, say."""
    try:
        return accounts.get(connection, vault(), account_id)
    except CalltrackError as error:
        return error


def _next(work: Work, answer: Answer, records: list[Raw]) -> Cursor | None:
    """The cursor after this page; None where the slice ends. An empty page ends every slice."""
    cursor = work.calls.pages.next(work.page["cursor"], answer, len(records))
    if not records:
        return None
    if work.page["axis"] == Axis.CHANGED and work.calls.changes is not None:
        oldest = moment(dig(records[-1], work.calls.changes.changed))
        if oldest is not None and oldest < work.page["since"]:
            return None
    return cursor


def _land(work: Work, answer: Answer, records: list[Raw], cursor: Cursor | None, ends: float) -> Fetched:
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
                connection.execute(_EXHAUSTED, {"slice_id": page["slice_id"], "state": "exhausted"})
                return Fetched(landed=True)
            if landed[0]["same"] >= REPEATS - 1 and records:
                raise EndlessPages
            hint = _open_next(connection, page, cursor)
            if time.monotonic() < ends and (following := _claim(connection, hint.id, page["account_as_of"])):
                return Fetched(True, following=replace(work, page=following))
            return Fetched(True, (hint,))
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


def _open_next(connection: Connection, page: Page, cursor: Cursor) -> Hint:
    number = page["number"] + 1
    return runs.open_page(
        connection, page["run_id"], page["slice_id"], page["account_id"], page["provider"], number, cursor
    )


def _endless(work: Work, landing: dict[str, Any]) -> Fetched:
    """Keep the page that was fetched, and stop the run: reading on would never end."""
    error = EndlessPages()
    with engine().begin() as connection:
        landed = rows(connection, _LAND, landing)
        runs.fail(connection, work.page["run_id"], error.reason, error.message)
    return Fetched(landed=bool(landed))


def _split(work: Work) -> Fetched:
    """Cut the slice in two: the provider pages only so far."""
    parts = halves(work.window)
    if parts is None:
        return _fail(
            work.page, SliceTooLarge("A single second holds more calls than the provider lets anyone page through.")
        )
    run = {**work.page, "id": work.page["run_id"]}
    with engine().begin() as connection:
        if not connection.execute(_DROP, {"page_id": work.page["id"]}).rowcount:
            return Fetched()
        connection.execute(_EXHAUSTED, {"slice_id": work.page["slice_id"], "state": "split"})
        return Fetched(hints=tuple(runs.open_slice(connection, run, part) for part in parts))


def _outage(page: Page) -> bool:
    with engine().connect() as connection:
        return bool(connection.execute(_OUTAGE, {"page_id": page["id"], "longest": LONGEST_OUTAGE}).scalar())


def _park(work: Work, error: CalltrackError, decision: Decision) -> Fetched:
    """Put the page aside until it may work: in its row, and for short waits with a delayed hint beside it.

    A page that ran out of tries in an outage is parked as well: the run goes on by itself when the provider is back.
    """
    page, wait = work.page, decision.wait if decision.kind == "retry" else OUTAGE_WAIT
    delayed = wait if wait <= LONGEST_DELAY else 0.0
    parked = {
        "page_id": page["id"],
        "wait": timedelta(seconds=wait),
        "hint": timedelta(seconds=delayed),
        "uncounted": 0 if decision.counts else 1,
    }
    with engine().begin() as connection:
        connection.execute(_PARK, {**parked, "reason": error.reason, "error": error.message})
        if wait >= NOTEWORTHY:
            told = {"run_id": page["run_id"], "reason": error.reason, "error": f"Parked: {error.message}"}
            connection.execute(_WAITS, told)
        if wait > LONGEST_DELAY and not decision.counts:
            connection.execute(_BLOCK, {"wait": parked["wait"], "account_id": work.account.id})
    logger.info("page parked", reason=error.reason, wait=round(wait, 3), attempts=page["attempts"])
    if wait > LONGEST_DELAY:
        return Fetched()
    return Fetched(hints=(runs.page_hint(Step.FETCH, page, wait),))


def _fail(page: Page, error: CalltrackError) -> Fetched:
    """Stop the run with the reason. What a person must mend is noted with the account too."""
    with engine().begin() as connection:
        connection.execute(_FAIL, {"page_id": page["id"], "reason": error.reason, "error": error.message})
        runs.fail(connection, page["run_id"], error.reason, error.message)
        if isinstance(error, FixConfiguration):
            accounts.set_health(connection, page["account_id"], error.message)
    return Fetched()
