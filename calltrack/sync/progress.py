"""How far a run is: logged, in the run's row, and published for whoever watches live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
import redis

from calltrack import log
from calltrack.sync.connections import valkey

#: records between two reports
STEP = 1000
CHANNEL = "calltrack:progress"

logger = log.get(__name__)


def report(run: Mapping[Any, Any], just_stored: int) -> None:
    """Tell the world, when a stored page took the run past another thousand records, or to its end."""
    if run["state"] == "running" and run["fetched"] // STEP == (run["fetched"] - just_stored) // STEP:
        return
    said = summary(run)
    logger.info("sync progress", **said)
    try:
        valkey().publish(CHANNEL, orjson.dumps(said))
    except redis.RedisError:
        logger.debug("live progress was not published")


def summary(run: Mapping[Any, Any], now: datetime | None = None) -> dict[str, Any]:
    """The run in numbers, with its pace in records per second, and the seconds that are left where that is known."""
    end = run["finished_at"] or now or run["progressed_at"]
    seconds = (end - run["started_at"]).total_seconds() if run["started_at"] and end else 0.0
    rate = run["fetched"] / seconds if seconds > 0 else 0.0
    left = max(0, run["expected"] - run["fetched"]) if run["expected"] is not None else None
    return {
        "run_id": run["id"],
        "provider": run["provider"],
        "status": run["state"],
        "pages": run["pages"],
        "fetched": run["fetched"],
        "inserted": run["inserted"],
        "updated": run["updated"],
        "unchanged": run["unchanged"],
        "rejected": run["rejected"],
        "duplicates": run["duplicates"],
        "excluded": run["excluded"],
        "seconds": round(seconds, 3),
        "rate": round(rate, 1),
        "expected": run["expected"],
        "eta_seconds": round(left / rate, 1) if left is not None and rate > 0 and run["state"] == "running" else None,
    }
