"""Fetching pages: claim one, ask the provider, land the answer byte for byte, and go on with the page behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import text
from structlog.contextvars import bound_contextvars

from calltrack import registry
from calltrack.client.answer import Answer, dig
from calltrack.client.pages import Cursor
from calltrack.client.retry import decide
from calltrack.db.session import engine, rows
from calltrack.errors import CalltrackError, NotThere, RequestRefused, SliceTooLarge, TryLater
from calltrack.mapping import Raw
from calltrack.mapping.times import moment
from calltrack.seldom import Seldom
from calltrack.sync import runs
from calltrack.sync.connections import client_for
from calltrack.sync.hints import Hint, Step
from calltrack.sync.landing import land
from calltrack.sync.parking import give_up, outage, park
from calltrack.sync.plan import Axis, halves
from calltrack.sync.work import Fetched, Page, Work, account_of, claim

#: seconds that one message may keep a worker fetching
GOING_ON = 1.0
#: how often the process meanwhile says of a provider that pages want storing: whoever is told stores what there is, so
#: many slices that are read side by side need no more messages than one. Not while pages have waited for a second
#: already, for then more messages would only wait with them.
TOLD = Seldom(0.3)

_LAGS = """
SELECT EXISTS (SELECT FROM sync_pages
    WHERE run_id = %(run_id)s AND state = 'fetched' AND fetched_at < now() - interval '1 second') AS lags
"""
_DROP = text("DELETE FROM sync_pages WHERE id = :page_id AND state = 'pending'")


def fetch_on(page_id: int, seconds: float = GOING_ON) -> Iterator[Sequence[Hint]]:
    """Fetch a page, and for so long those behind it, while they come at once: a message for each would cost as much as
    fetching it does. Yields hints when they are due: that pages want storing, and last those for the pages left.
    """
    ends = time.monotonic() + seconds
    fetched = fetch(page_id, ends)
    while (work := fetched.following) is not None:
        fetched = _fetch(work, ends)
        if TOLD.due(work.page["provider"]) and not _storing_lags(work.page["run_id"]):
            yield [runs.page_hint(Step.STORE, work.page)]
    yield fetched.hints


def _storing_lags(run_id: int) -> bool:
    with engine().begin() as connection:
        return bool(rows(connection, _LAGS, {"run_id": run_id})[0]["lags"])


def fetch(page_id: int, ends: float = 0.0) -> Fetched:
    """Fetch one page, if it is still to be fetched and nobody else is at it.

    Until `ends` (seconds, of the monotonic clock) the page behind it is claimed as soon as it is known.
    """
    with engine().begin() as connection:
        page = claim(connection, page_id)
        if page is None:
            return Fetched()
        account = account_of(connection, page["account_id"])
    if isinstance(account, CalltrackError):
        with _named(page):
            return give_up(page, account)
    provider = registry.get(page["provider"])
    return _fetch(Work(page, account, provider, provider.calls(account.settings)), ends)


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
        if decision.kind == "retry" or (isinstance(error, TryLater) and outage(work.page)):
            return park(work, error, decision)
        return give_up(work.page, error)
    return land(work, answer, records, cursor, ends)


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


def _split(work: Work) -> Fetched:
    """Cut the slice in two: the provider pages only so far."""
    parts = halves(work.window)
    if parts is None:
        return give_up(
            work.page, SliceTooLarge("A single second holds more calls than the provider lets anyone page through.")
        )
    run = {**work.page, "id": work.page["run_id"]}
    with engine().begin() as connection:
        if not connection.execute(_DROP, {"page_id": work.page["id"]}).rowcount:
            return Fetched()
        runs.close_slice(connection, work.page["slice_id"], "split")
        return Fetched(hints=tuple(runs.open_slice(connection, run, part) for part in parts))
