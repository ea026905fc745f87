"""A page to fetch: claimed for us alone, with everything that fetching it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from calltrack.client.ask import Request
from calltrack.client.budget import Lane
from calltrack.client.windows import Window
from calltrack.db import accounts
from calltrack.db.accounts import Account
from calltrack.db.session import rows
from calltrack.errors import CalltrackError, FixConfiguration
from calltrack.mapping import Context
from calltrack.patience import patience
from calltrack.provider import Calls, Provider
from calltrack.sync.connections import vault
from calltrack.sync.hints import Hint
from calltrack.sync.plan import Axis, Mode
from calltrack.sync.reading import ONE

#: a fetch that takes longer than this is taken for dead, and the page may be claimed again
LEASE = timedelta(seconds=patience(120))
MAX_RETRIES = 7

#: which lane of the request budget a run takes
LANES = {
    Mode.LIVE.value: Lane.LIVE,
    Mode.INCREMENTAL.value: Lane.INCREMENTAL,
    Mode.RECOVER.value: Lane.REPAIR,
    Mode.CHECK.value: Lane.REPAIR,
}

#: a row of `sync_pages`, with its slice's range, its run's mode and axis, and its account's name and settings
Page = Mapping[str, Any]

#: what a page's run and account must be like: otherwise it waits
MAY_BE_FETCHED = """
run.state = 'running' AND account.is_active AND (account.blocked_until IS NULL OR account.blocked_until < now())
"""
#: `(SELECT …)` keeps Postgres from planning this anew each time, which costs more than it does: with the id at hand one
#: partition looks cheaper than all of them, and which one it is it also finds with the plan that it has
_CLAIM = f"""
UPDATE sync_pages page SET leased_until = now() + %(lease)s, attempts = attempts + 1
FROM sync_runs run, sync_slices slice, provider_configs account
WHERE page.id = (SELECT CAST(%(page_id)s AS bigint))
  AND page.state = 'pending' AND page.next_attempt_at <= now() + interval '1 second'
  AND (page.leased_until IS NULL OR page.leased_until < now())
  AND run.id = page.run_id AND slice.id = page.slice_id AND account.id = page.account_id AND {MAY_BE_FETCHED}
RETURNING page.*, run.mode, run.axis, slice.since, slice.until,
    account.settings, account.name AS account, account.updated_at AS account_as_of
"""  # noqa: S608 - a condition of ours, which two statements share


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


def claim(connection: Connection, page_id: int) -> Page | None:
    """The page, for us alone until it is fetched; None where it waits, or is no longer to be fetched."""
    claimed = rows(connection, _CLAIM, {"page_id": page_id, "lease": LEASE})
    return claimed[0] if claimed else None


def account_of(connection: Connection, account_id: UUID) -> Account | CalltrackError:
    """The account, opened; or why it cannot be: a key is missing, say."""
    try:
        return accounts.get(connection, vault(), account_id)
    except CalltrackError as error:
        return error
