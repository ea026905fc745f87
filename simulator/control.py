"""The doors that no provider has, under `/_simulator/`: what truly is there, and what was asked for so far."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from simulator.messages import Reply, Request, as_json
from simulator.standin import StandIn
from simulator.world import World


class Control:
    """Answers requests about the simulator itself."""

    def __init__(self, world: World, stand_ins: Mapping[str, StandIn]) -> None:
        self._world = world
        self._stand_ins = stand_ins
        #: requests that followed a link to another host
        self.strayed = 0

    def reply(self, request: Request) -> Reply:
        first, *rest = request.path.strip("/").split("/")
        if first == "elsewhere":
            self.strayed += 1
            return as_json({"error": "You were led astray."}, 418)
        if first in self._stand_ins and rest:
            return self._truth(self._stand_ins[first], rest, request.params)
        if first == "stats":
            return as_json(self.stats())
        if first == "world":
            return as_json(self._world.describe())
        return as_json({"error": "There is stats, world, and PROVIDER/ids, /calls, /call/ID, /rejected."}, 404)

    def stats(self) -> dict[str, object]:
        """Counts per provider, and `strayed`."""
        reports: dict[str, object] = {
            name: stand_in.traffic.report() | {"writes": dict(stand_in.writes)}
            for name, stand_in in self._stand_ins.items()
        }
        return reports | {"strayed": self.strayed}

    def _truth(self, stand_in: StandIn, path: list[str], params: Mapping[str, str]) -> Reply:
        since, until = _moment(params, "since"), _moment(params, "until")
        match path:
            case ["ids"]:
                ids = stand_in.ids(since, until)
                return as_json({"count": len(ids), "ids": ids})
            case ["calls"]:
                return as_json(stand_in.truths(since, until))
            case ["rejected"]:
                rejected = stand_in.rejected()
                return as_json({"count": len(rejected), "rejected": rejected})
            case ["call", call_id]:
                found = stand_in.find(call_id)
                return as_json(found) if found else as_json({"error": "No such call."}, 404)
        return as_json({"error": "There is ids, calls, call/ID and rejected."}, 404)


def _moment(params: Mapping[str, str], name: str) -> datetime | None:
    return datetime.fromisoformat(params[name]) if name in params else None
