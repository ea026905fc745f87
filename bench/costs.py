"""What a piece of work costs beyond time: WAL, commits, broker commands, and what Postgres' backends waited for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import redis
from sqlalchemy import text

from bench.usage import Usage, Watch
from calltrack import config
from calltrack.db.session import engine

#: seconds between looks at what the backends wait for
LOOK = 0.05
#: what a backend that waits for nothing does
WORKING = "CPU"

_SERVER = text("""
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS wal,
    pg_database_size(current_database())::float8 AS disk,
    (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::float8 AS commits
""")
_WAITS = text("""
SELECT coalesce(wait_event_type || ' ' || wait_event, :working), count(*) FROM pg_stat_activity
WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1
""")


@dataclass(frozen=True)
class Costs:
    """Of one piece of work."""

    seconds: float = 0.0
    usage: Mapping[str, Usage] = field(default_factory=dict)
    #: the part of the machine's CPU time that went to others
    others: float = 0.0
    #: bytes of WAL, bytes on disk, commits, commands of Valkey
    counts: Mapping[str, float] = field(default_factory=dict)
    #: what active backends did, as parts of one: "CPU", "IO WalSync", "Lock transactionid", …
    waits: Mapping[str, float] = field(default_factory=dict)


class Meter:
    """Takes the costs of what is done until the end of the block."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._seen: Counter[str] = Counter()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="meter", daemon=True)

    def __enter__(self) -> Self:
        self._before = _counts()
        self._watch.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.__exit__()
        self._done.set()
        self._thread.join()
        after = _counts()
        self._counts = {name: after[name] - value for name, value in self._before.items()}

    def costs(self, seconds: float) -> Costs:
        """What it cost, of which so many seconds were work."""
        total = max(1, self._seen.total())
        waits = {name: seen / total for name, seen in self._seen.most_common()}
        return Costs(seconds, self._watch.usage, self._watch.others, self._counts, waits)

    def _look(self) -> None:
        with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not self._done.wait(LOOK):
                found: list[Any] = list(connection.execute(_WAITS, {"working": WORKING}).all())
                self._seen.update(dict(found))


def _counts() -> dict[str, float]:
    with engine().connect() as connection:
        server = dict(connection.execute(_SERVER).mappings().one())
    with redis.Redis.from_url(config.settings().redis_url or "") as broker:
        return {**server, "commands": float(broker.info("stats")["total_commands_processed"])}
