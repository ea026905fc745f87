"""Mapping anew what was landed: how many archived records a second, with the process killed twice on the way.

    python -m bench.remap [--records 1000000] [--page 1000]

An archive of so many calls is made, and `calls` is empty, as if an old mapper had rejected them all: the remap reads
every page, compares, and inserts. It is killed by SIGKILL at a tenth and at half of it, and goes on in a new process.
No time counts before every id has been found in `calls`, once.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import signal
import time
import zlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psutil
from sqlalchemy import Connection, text

from bench import full_sync, records, stack
from calltrack.db.session import engine
from calltrack.sync import operations, remap

#: the parts of the work at which the process is killed
KILLS = (0.1, 0.5)
PROVIDER = "retreaver"

_RUN = text("""
INSERT INTO sync_runs (account_id, provider, mode, axis, state) VALUES (:account, :provider, 'full', 'created',
    'completed') RETURNING id
""")
_SLICE = text("INSERT INTO sync_slices (run_id, since, until, state) VALUES (:run, :at, :at, 'exhausted') RETURNING id")
_PAGE = text("""
INSERT INTO sync_pages (run_id, slice_id, account_id, provider, number, cursor, state, body, fetched, fetched_at,
    stored_at)
VALUES (:run, :slice, :account, :provider, :number, jsonb_build_object('page', CAST(:number AS int)), 'stored', :body,
    :fetched, now(), now())
""")


def archive(number: int, size: int) -> tuple[UUID, set[str]]:
    """An account with so many archived calls, and their ids."""
    made = records.make(number, 30, datetime.now(UTC))
    account = full_sync.account()
    with engine().begin() as connection:
        known: dict[str, Any] = {"account": account, "provider": PROVIDER, "at": datetime.now(UTC)}
        known["run"] = connection.execute(_RUN, known).scalar_one()
        known["slice"] = connection.execute(_SLICE, known).scalar_one()
        for page, first in enumerate(range(0, number, size), 1):
            part = made[first : first + size]
            body = zlib.compress(b"[" + b",".join(call.json for call in part) + b"]", 1)
            connection.execute(_PAGE, {**known, "number": page, "body": body, "fetched": len(part)})
    return account, {call.id for call in made}


def go_on(operation: int, memory: Any) -> None:
    """Do the operation to its end, in a process of its own."""
    while operations.advance(operation, patient=True):
        memory.value = max(memory.value, psutil.Process().memory_info().rss)


def done(connection: Connection, operation: int) -> tuple[int, int, str]:
    row = connection.execute(text("SELECT done, total, state FROM operations WHERE id = :id"), {"id": operation}).one()
    return row.done, row.total, row.state


def killed_at(operation: int, share: float, memory: Any) -> None:
    """Let a process work until this part of the operation is done, and kill it."""
    child = multiprocessing.get_context("spawn").Process(target=go_on, args=(operation, memory))
    child.start()
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while child.is_alive():
            finished, total, _ = done(connection, operation)
            if finished >= share * total:
                os.kill(child.pid or 0, signal.SIGKILL)
            time.sleep(0.05)
    child.join()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.remap", description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--page", type=int, default=1000, help="records on a page (default: 1000)")
    args = parser.parse_args()
    with stack.home():
        account, ids = archive(args.records, args.page)
        with engine().begin() as connection:
            operation = remap.begin(connection, account, apply=True)
        memory = multiprocessing.get_context("spawn").Value("l", 0)
        began = time.monotonic()
        for share in (*KILLS, math.inf):
            killed_at(operation, share, memory)
        seconds = time.monotonic() - began
        with engine().connect() as connection:
            _, _, state = done(connection, operation)
            stored = connection.execute(text("SELECT external_id FROM calls")).scalars().all()
    assert state == "completed"
    assert len(stored) == len(ids)
    assert set(stored) == ids
    print(
        f"{len(ids):,} archived records mapped anew in {seconds:,.0f} s ({len(ids) / seconds:,.0f} records/s), killed "
        f"{len(KILLS)} times; every id is there once; largest process {memory.value / 1e6:,.0f} MB"
    )


if __name__ == "__main__":
    main()
