"""When the calls that deliveries told of could be queried: by the moment of their commit, each one by its id."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

from sqlalchemy import TextClause, text

from bench import stack
from bench.sending import Tally
from calltrack.db.session import engine

#: the server has to note when transactions were committed
POSTGRES = {"track_commit_timestamp": "on"}
#: seconds that all may stand still while deliveries wait, before that is given up
PATIENCE = 60.0
LOOK = 0.1

_WAITING = text("SELECT count(*) FROM webhook_logs WHERE state = 'received'")
_LACKING = text("SELECT :accepted - count(*) FROM calls")
_CALLS = text("SELECT external_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM calls")
_PROCESSED = text("""
SELECT call.external_id FROM webhook_logs log LEFT JOIN calls call ON call.id = log.call_id
WHERE log.state = 'processed'
""")
_OTHERS = text("SELECT state, reason, count(*) FROM webhook_logs WHERE state <> 'processed' GROUP BY 1, 2")


@dataclass(frozen=True)
class Arrivals:
    """Deliveries that became calls: when each was to be sent, and when its call could be queried, in order of sending.

    Both in seconds since 1970; the two clocks are one machine's.
    """

    moments: list[tuple[float, float]]

    @property
    def rate(self) -> float:
        """Processed per second, from the first delivery to the last call."""
        return len(self.moments) / (max(there for _, there in self.moments) - self.moments[0][0])

    def milliseconds(self, since: float = 0.0, until: float = float("inf")) -> tuple[float, float, float]:
        """From sending to the row, of what was sent in this time: at most so long for 50, 99 and all of 100."""
        waits = [there - sent for sent, there in self.moments if since <= sent < until]
        cuts = statistics.quantiles(waits, n=100)
        return cuts[49] * 1000, cuts[98] * 1000, max(waits) * 1000

    def waiting(self, at: float) -> int:
        """How many were sent by then and not there yet."""
        return sum(sent <= at < there for sent, there in self.moments)

    def most_waiting(self) -> int:
        steps = sorted([(sent, 1) for sent, _ in self.moments] + [(there, -1) for _, there in self.moments])
        most = now = 0
        for _, step in steps:
            now += step
            most = max(most, now)
        return most

    def worked_off(self, at: float) -> float:
        """Seconds from then until all that was sent by then was there."""
        return max((there - at for sent, there in self.moments if sent <= at < there), default=0.0)

    def committed(self) -> tuple[float, float]:
        """When the first call could be queried, and when the last one."""
        return min(there for _, there in self.moments), max(there for _, there in self.moments)


def await_all(tally: Tally) -> Arrivals:
    """Wait until every accepted delivery is processed, and find each one's call. One that is missing ends the program.

    Accepted twice, stored twice, rejected or ignored is as bad as lost.
    """
    drained()
    with engine().connect() as connection:
        processed = list(connection.execute(_PROCESSED).scalars())
        others = connection.execute(_OTHERS).all()
    if others or len(processed) != len(tally.accepted) or set(processed) != tally.accepted.keys():
        missing = len(tally.accepted.keys() - set(processed))
        wrong = f"{len(tally.accepted)} accepted, {len(processed)} processed, {missing} missing, besides {others}"
        sys.exit(f"{wrong}: no time is worth telling.\n{stack.last_words()}")
    return there(tally)


def await_rows(tally: Tally) -> Arrivals:
    """As `await_all`, of a design that lands nothing: all that can be waited for is the calls."""
    _until_there(_LACKING, {"accepted": len(tally.accepted)}, 10 * LOOK)
    return there(tally)


def drained() -> None:
    """Wait until no delivery waits."""
    _until_there(_WAITING, {}, LOOK)


def _until_there(query: TextClause, values: dict[str, int], pause: float) -> None:
    """Wait until this many are none any more."""
    least, deadline = sys.maxsize, time.monotonic() + PATIENCE
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while (waiting := connection.execute(query, values).scalar_one()) > 0:
            if waiting < least:
                least, deadline = waiting, time.monotonic() + PATIENCE
            if time.monotonic() > deadline:
                sys.exit(f"{waiting} deliveries stay where they are. Last words:\n{stack.last_words()}")
            time.sleep(pause)


def there(tally: Tally) -> Arrivals:
    """When each accepted delivery's call was committed. One that is missing ends the program."""
    with engine().connect() as connection:
        found: dict[str, float] = dict(connection.execute(_CALLS).tuples().all())
    missing = tally.accepted.keys() - found.keys()
    if missing:
        sys.exit(f"{len(missing)} of {len(tally.accepted)} calls are missing: no time is worth telling.")
    return Arrivals([(sent, found[key]) for key, sent in sorted(tally.accepted.items(), key=lambda pair: pair[1])])
