"""A simulator of a small world in which time stands still."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from asking import NOW, Start
from receiving import Receiver

from simulator import Habits, Limit, Simulator, World


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a simulator: `start(records=250, habits="page_shift", limits={"retreaver": "5/minute"})`."""
    with ExitStack() as stack:

        def started(
            records: int = 60, habits: str = "", limits: dict[str, str] | None = None, **world: Any
        ) -> Simulator:
            there = World(records=records, **{"now": NOW, **world})
            parsed = {name: [Limit.parse(text)] for name, text in (limits or {}).items()}
            return stack.enter_context(Simulator(there, habits=Habits.parse(habits), limits=parsed))

        yield started


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
