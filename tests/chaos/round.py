"""One round: syncs and webhooks under way, faults at drawn moments, then rest, and the count."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import psycopg

from simulator import Habits, World
from simulator.letters import Letter, Mix, write
from simulator.senders import Connection
from tests.chaos.faults import FAULTS, Fault, Undo
from tests.chaos.stage import PROVIDERS, SECRET, Stage, until
from tests.chaos.verify import is_accepted, verify

#: seconds: in which faults begin, and in which all must have come to rest after the last one ended
SPAN = 10.0
REST = 150.0
LETTERS = 150
QUIET = Habits(late_after=3)
#: after the faults: the daily sync, as beat starts it, finds what was published late at its place in the past
AGAIN = "UPDATE provider_configs SET next_full_at = now()"
BUSY = """
SELECT (SELECT count(*) FROM sync_runs WHERE state IN ('queued', 'running'))
    + (SELECT count(*) FROM provider_configs WHERE next_incremental_at <= now() OR next_full_at <= now())
    + (SELECT count(*) FROM webhook_logs WHERE state = 'received')
"""


@dataclass
class Result:
    """What came of a round."""

    seed: int
    faults: list[str]
    seconds: float = 0.0
    ids: int = 0
    unexplained: list[str] = field(default_factory=list)

    def line(self) -> str:
        said = "; ".join(self.unexplained) or "nothing unexplained"
        return f"seed {self.seed}  {self.seconds:5.1f} s  {self.ids:,} ids  {said}  [{', '.join(self.faults)}]"


def play(stage: Stage, chance: Random, seed: int, records: int, *, short: bool) -> Result:
    """Play the round that this seed draws."""
    began = time.monotonic()
    stage.clear(World(seed=seed, records=records, days=0.9))
    assert stage.sim
    plan = sorted(
        ((chance.uniform(0, SPAN), fault) for fault in chance.sample(FAULTS, chance.randint(3, 6))), key=_moment
    )
    result = Result(seed, [fault.name for _, fault in plan])
    stage.execute("UPDATE provider_configs SET next_full_at = now(), next_incremental_at = NULL")
    with sending(stage, seed) as accepted:
        hurt(stage, chance, plan, short=short)
    for provider in PROVIDERS:
        stage.sim.provider(provider).habits = QUIET
    at_rest = _daily_sync(stage) and _daily_sync(stage)  # calls that were listed for the first time may change late
    found = verify(stage, accepted)
    result.ids, result.unexplained = found.ids, found.unexplained
    if not at_rest:
        result.unexplained.insert(0, f"not at rest after {REST:.0f} s")
    result.seconds = time.monotonic() - began
    return result


def _daily_sync(stage: Stage) -> bool:
    """Let what is late come, and beat start the daily sync. Whether the system came to rest."""
    time.sleep(QUIET.late_after + 0.5)
    stage.execute(AGAIN)
    return until(lambda: is_at_rest(stage), REST, look=0.2)


def _moment(timed: tuple[float, Fault]) -> float:
    return timed[0]


def is_at_rest(stage: Stage) -> bool:
    try:
        return stage.rows(BUSY)[0][0] == 0 and not stage.spooled
    except psycopg.Error:
        return False


def hurt(stage: Stage, chance: Random, plan: list[tuple[float, Fault]], *, short: bool) -> None:
    """Let each fault begin at its moment and end at its own, and return when all have ended."""
    began = time.monotonic()
    undo: list[tuple[float, Undo]] = []
    todo = list(plan)
    while todo or undo:
        now = time.monotonic() - began
        if todo and todo[0][0] <= now:
            _, fault = todo.pop(0)
            ends = fault.act(stage, chance) if _can_be_hurt(stage, fault) else None
            if ends is not None:
                undo.append((now + (min(fault.seconds, 5.0) if short else fault.seconds), ends))
        for due in [pair for pair in undo if pair[0] <= now]:
            undo.remove(due)
            due[1]()
        time.sleep(0.02)


def _can_be_hurt(stage: Stage, fault: Fault) -> bool:
    """A server that is down cannot be hurt in ways that need it."""
    if "broker" in fault.name or fault.name == "messages repeated":
        return stage.valkey.is_alive and (fault.name != "messages repeated" or stage.postgres.is_alive)
    if "Postgres" in fault.name or fault.name in ("connections cut in transactions", "disk full"):
        return stage.postgres.is_alive
    return True


@contextmanager
def sending(stage: Stage, seed: int) -> Iterator[dict[str, list[Letter]]]:
    """Deliveries come in all the while, signed, doubled, in any order, some forged. Gives those that were accepted."""
    accepted: dict[str, list[Letter]] = {name: [] for name in PROVIDERS}
    over = threading.Event()
    senders = [threading.Thread(target=_send, args=(stage, name, seed, accepted[name], over)) for name in PROVIDERS]
    for sender in senders:
        sender.start()
    try:
        yield accepted
    finally:
        over.set()
        for sender in senders:
            sender.join()


def _send(stage: Stage, provider: str, seed: int, accepted: list[Letter], over: threading.Event) -> None:
    assert stage.sim
    mix = Mix(duplicates=0.1, forged=0.1, out_of_order=True, unlisted=0.3)
    connection = Connection(stage.url(provider))
    for letter in write(stage.sim.world, provider, LETTERS, SECRET, mix=mix, seed=seed):
        if is_accepted(letter, connection.post(letter)):
            accepted.append(letter)
        if over.is_set():
            break
        time.sleep(SPAN / LETTERS)
    connection.close()
