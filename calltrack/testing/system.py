"""calltrack without Celery: hints are followed in this process, one after another, and long waits are cut short."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, text

from calltrack import accounts
from calltrack.sync import deliveries, pull, runs, store, sweep
from calltrack.sync.connections import valkey, vault
from calltrack.sync.hints import Hint, Step

AT_ONCE = timedelta(seconds=-1)
#: seconds: how long a run may take, how long it is waited for what it put aside, and between two looks
LONGEST = 60.0
WAIT = 3.0
LOOK = 0.05
SECRET = "a-secret-of-the-test"  # noqa: S105 - it guards nothing

_DUE = text("""
SELECT extract(epoch FROM min(greatest(page.next_attempt_at, account.blocked_until)) - now())
FROM sync_pages page JOIN provider_configs account ON account.id = page.account_id
WHERE page.state IN ('pending', 'fetched')
""")


class System:
    """A database, and accounts in it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        #: called after each step of work, as other things go on meanwhile
        self.meanwhile: Callable[[], None] = lambda: None

    def add_account(
        self, provider: str, api_url: str, settings: Mapping[str, str], rate_limits: Sequence[str] = ("10000/second",)
    ) -> None:
        with self.engine.begin() as connection:
            accounts.add(
                connection,
                vault(),
                provider,
                api_url=api_url,
                values={"retry_delay": "0.001", "max_retries": "50", **settings},
                webhook_secrets=[SECRET],
                rate_limits=list(rate_limits),
            )

    def sync(self, provider: str, mode: str = "full") -> Mapping[Any, Any]:
        """Run a sync to its end, and give its run as it is then. Raises `TimeoutError`."""
        run_id, hints = runs.start(provider, None, mode)
        ends = time.monotonic() + LONGEST
        self._follow(hints, ends)
        while (run := self._run(run_id))["state"] == "running":
            if time.monotonic() > ends:
                raise TimeoutError(f"The run is still under way after {LONGEST:g} s, at page {run['pages']}.")
            self._wait_for_what_is_due()
            self._follow(sweep.sweep(AT_ONCE), ends)
        return run

    def rows(self, query: str, **values: object) -> Sequence[Mapping[Any, Any]]:
        with self.engine.connect() as connection:
            return connection.execute(text(query), values).mappings().all()

    def _run(self, run_id: int) -> Mapping[Any, Any]:
        (run,) = self.rows("SELECT * FROM sync_runs WHERE id = :id", id=run_id)
        return run

    def _follow(self, hints: Iterable[Hint], ends: float) -> None:
        waiting = list(hints)
        while waiting and time.monotonic() < ends:
            waiting += self._do(waiting.pop(0))
            self.meanwhile()

    def _do(self, hint: Hint) -> Sequence[Hint]:
        if hint.step is Step.DELIVERIES:
            return deliveries.drain(hint.provider)
        if hint.step is Step.STORE:
            return self._store(hint.id)
        fetched = pull.fetch(hint.id)
        return [*fetched.hints, *(self._store(hint.id) if fetched.landed else ())]

    def _store(self, page_id: int) -> Sequence[Hint]:
        return store.store(page_id) or []

    def _wait_for_what_is_due(self) -> None:
        """What is due soon is waited for; what is put aside for longer is made due, and breakers forget."""
        with self.engine.connect() as connection:
            wait = float(connection.execute(_DUE).scalar() or 0)
        if wait <= WAIT:
            time.sleep(max(LOOK, wait))
            return
        valkey().flushall()
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE provider_configs SET blocked_until = NULL"))
            connection.execute(text("UPDATE sync_pages SET next_attempt_at = now(), hinted_at = '-infinity'"))
