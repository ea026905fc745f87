"""Stand-ins for the providers, with their bad habits: HTTP servers of their APIs, and senders of their webhooks.

Written from what the providers publish, never from calltrack's own code: it imports nothing of calltrack, so that
the two readings check each other.

    with Simulator(World(seed=1, records=500), habits=Habits.parse("faults, late_changes")) as sim:
        sync(sim.url("retreaver"), sim.credentials("retreaver"))
        assert stored_ids() == set(sim.provider("retreaver").ids())
"""

from __future__ import annotations

from simulator.calls import Call
from simulator.habits import DEMO, Habits
from simulator.server import Simulator
from simulator.traffic import Limit
from simulator.world import PROVIDERS, World

__all__ = ["DEMO", "PROVIDERS", "Call", "Habits", "Limit", "Simulator", "World"]
