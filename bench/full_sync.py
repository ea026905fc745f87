"""A full sync of an account at a provider that is not the limit, by the processes that run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bench import stack
from calltrack import accounts
from calltrack.db.session import engine
from calltrack.sync import runs
from calltrack.sync.connections import vault

PROVIDER = "retreaver"
#: the provider is not the limit, and neither is a budget
RATE_LIMIT = "100000/second"
#: seconds between two looks at a run: its time is read from its row, and looking takes CPU from those who are measured
LOOK = 0.25

_RUN = text("SELECT * FROM sync_runs WHERE id = :id")


def account(api_url: str = "http://127.0.0.1:1", *, page_size: int | None = None, **how: Any) -> UUID:
    """An account that nothing syncs by itself. `how`: as `accounts.add` takes it."""
    values = {"api_key": "none"} | ({"page_size": str(page_size)} if page_size else {})
    given = {"api_url": api_url, "values": values, "rate_limits": [RATE_LIMIT], "scheduled": False, **how}
    with engine().begin() as connection:
        return accounts.add(connection, vault(), PROVIDER, **given).account.id


def begin(name: str | None = None, since: datetime | None = None, until: datetime | None = None) -> int:
    """Begin it for the account of this name, over all or over this range, and tell the workers. Returns the run."""
    from tasks.hints import send  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    run_id, hints = runs.start(PROVIDER, name, "full", since, until)
    send(hints)
    return run_id


def run(run_id: int) -> Mapping[str, Any]:
    """The run as it stands."""
    with engine().connect() as connection:
        return dict(connection.execute(_RUN, {"id": run_id}).mappings().one())


def finished(run_id: int, records: int, slowest: float) -> Mapping[str, Any]:
    """The run once it is completed. `slowest`: whoever makes fewer records a second stands still."""
    return once(lambda found: found["state"] == "completed", run_id, records, slowest)


def once(so_far: Callable[[Mapping[str, Any]], bool], run_id: int, records: int, slowest: float) -> Mapping[str, Any]:
    """As `finished`, the run once it is so far."""
    deadline = time.monotonic() + 60 + records / slowest
    while not so_far(found := run(run_id)):
        if found["state"] != "running" or time.monotonic() > deadline:
            raise SystemExit(f"The run is {found['state']}: {found['error']}. Last words:\n{stack.last_words()}")
        time.sleep(LOOK)
    return found


def seconds(found: Mapping[str, Any]) -> float:
    """From its beginning to its end."""
    return float((found["finished_at"] - found["started_at"]).total_seconds())
