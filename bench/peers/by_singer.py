"""A Singer tap and target-postgres, joined by a pipe: two processes.

    python -m bench.peers.by_singer DATABASE_URL PROVIDER_URL PAGE_SIZE

The table is `singer.calls`. The target upserts by the tap's key, as it always does. What makes it quicker is set: it
uses COPY, and does not hold every record against the schema.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from multiprocessing import get_context

from singer_sdk.target_base import Target
from target_postgres.target import TargetPostgres

from bench import turn
from bench.peers.tap import TapCalls

SETTINGS = {"default_target_schema": "singer", "use_copy": True, "validate_records": False}


def run(tap: TapCalls, target: Target) -> None:
    reading, writing = os.pipe()
    process = get_context("fork").Process(target=pour, args=(tap, reading, writing))
    process.start()
    os.close(writing)
    # The target tells on stdout what it has stored: that must not get between what we tell.
    with os.fdopen(reading) as messages, redirect_stdout(sys.stderr):
        target.listen(messages)
    process.join()
    if process.exitcode:
        sys.exit("The tap failed.")


def pour(tap: TapCalls, reading: int, writing: int) -> None:
    """The tap's side, in a process of its own: its stdout is the pipe."""
    os.close(reading)
    os.dup2(writing, sys.stdout.fileno())
    tap.sync_all()


def main() -> None:
    database, url, size = sys.argv[1:]
    tap = TapCalls(config={"url": url, "page_size": int(size)})
    target = TargetPostgres(config={"sqlalchemy_url": database, **SETTINGS})
    turn.take(lambda: run(tap, target))


if __name__ == "__main__":
    main()
