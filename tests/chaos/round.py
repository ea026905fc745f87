"""One round: syncs and webhooks under way, faults at drawn moments, then rest, and the count."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import psycopg
import redis

from simulator import World
from simulator.letters import Mix, write
from simulator.senders import Connection
from tests.chaos.faults import FAULTS, Fault, Undo
from tests.chaos.stage import PROVIDERS, QUICK, SECRET, SLOW, Stage, until
from tests.chaos.verify import Post, is_accepted, verify

#: seconds: in which faults begin, and in which all must have come to rest after the last one ended
SPAN = 10.0
REST = 150.0
LETTERS = 150
#: seconds that a fault lasts in the short set
SHORT = 5.0
#: seconds until a fault that could not end ends
LATER = 0.5
#: seconds after which the simulated providers do what they do late
LATE = 3.5
#: messages of the round that come once more when all is done
LATE_MESSAGES = 300
#: after the faults: the daily sync, as beat starts it, finds what was published late at its place in the past
AGAIN = "UPDATE provider_configs SET next_full_at = now()"
BUSY = """
SELECT (SELECT count(*) FROM sync_runs WHERE state IN ('queued', 'running'))
    + (SELECT count(*) FROM provider_configs WHERE next_incremental_at <= now() OR next_full_at <= now())
    + (SELECT count(*) FROM webhook_logs WHERE state = 'received')
"""


class Planned(NamedTuple):
    """A fault to come."""

    #: seconds after the beginning
    at: float
    fault: Fault
    dice: Random


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
    plan = draw(stage, chance)
    result = Result(seed, [])
    stage.execute(
        f"UPDATE provider_configs SET rate_limits = '{SLOW}', next_full_at = now(), next_incremental_at = NULL"
    )
    with sending(stage, seed) as post:
        result.faults = hurt(stage, plan, short=short)
    stage.execute(f"UPDATE provider_configs SET rate_limits = '{QUICK}'")
    # Calls that were listed for the first time may change late: then the second sync finds them so.
    at_rest = _daily_sync(stage) and _late_messages(stage, chance) and _daily_sync(stage)
    found = verify(stage, post)
    result.ids, result.unexplained = found.ids, found.unexplained
    if not at_rest:
        result.unexplained.insert(0, f"not at rest after {REST:.0f} s")
    result.seconds = time.monotonic() - began
    return result


def draw(stage: Stage, chance: Random) -> list[Planned]:
    """Which faults, when, and by which dice."""
    possible = [fault for fault in FAULTS if stage.clock.moves or fault.name != "clock jumps"]
    chosen = chance.sample(possible, chance.randint(3, 6))
    return sorted((Planned(chance.uniform(0, SPAN), fault, Random(chance.random())) for fault in chosen), key=_moment)


def _daily_sync(stage: Stage) -> bool:
    """Let what is late come, and beat start the daily sync. Whether the system came to rest."""
    time.sleep(LATE)
    stage.execute(AGAIN)
    return until(lambda: is_at_rest(stage), REST, look=0.2)


def _late_messages(stage: Stage, chance: Random) -> bool:
    """The work is done, and messages about it come again, as from a broker that had kept them for an hour."""
    heard = list(stage.eavesdropper.heard)
    stage.eavesdropper.say_again(chance.sample(heard, min(LATE_MESSAGES, len(heard))))
    return True


def _moment(planned: Planned) -> float:
    return planned.at


def is_at_rest(stage: Stage) -> bool:
    try:
        return stage.rows(BUSY)[0][0] == 0 and not stage.spooled
    except psycopg.Error:
        return False


def hurt(stage: Stage, plan: list[Planned], *, short: bool) -> list[str]:
    """Let each fault begin at its moment and end at its own, and return when all have ended. Those that there were."""
    began = time.monotonic()
    undo: list[tuple[float, Undo]] = []
    todo, done = list(plan), []
    while todo or undo:
        now = time.monotonic() - began
        if todo and todo[0].at <= now:
            _, fault, dice = todo.pop(0)
            if _can_be_hurt(stage, fault):
                done.append(fault.name)
                ends = fault.act(stage, dice)
                undo += [(now + (min(fault.seconds, SHORT) if short else fault.seconds), ends)] if ends else []
        for due in [pair for pair in undo if pair[0] <= now]:
            undo.remove(due)
            undo += _ended(due[1], now)
        time.sleep(0.02)
    return done


def _ended(end: Undo, now: float) -> list[tuple[float, Undo]]:
    """Let a fault end. Where that needs a server that another fault keeps down, it ends a little later."""
    try:
        end()
    except (psycopg.Error, redis.RedisError):
        return [(now + LATER, end)]
    return []


def _can_be_hurt(stage: Stage, fault: Fault) -> bool:
    """A server that is down cannot be hurt in ways that need it."""
    if "broker" in fault.name or "messages" in fault.name:
        return stage.valkey.is_alive and stage.postgres.is_alive
    if "Postgres" in fault.name or fault.name in ("connections cut in transactions", "disk full"):
        return stage.postgres.is_alive
    return True


@contextmanager
def sending(stage: Stage, seed: int) -> Iterator[dict[str, Post]]:
    """Deliveries come in all the while, signed, doubled, in any order, some forged. Gives what was sent."""
    post = {name: Post() for name in PROVIDERS}
    over = threading.Event()
    senders = [threading.Thread(target=_send, args=(stage, name, seed, post[name], over)) for name in PROVIDERS]
    for sender in senders:
        sender.start()
    try:
        yield post
    finally:
        over.set()
        for sender in senders:
            sender.join()


def _send(stage: Stage, provider: str, seed: int, post: Post, over: threading.Event) -> None:
    assert stage.sim
    mix = Mix(duplicates=0.1, forged=0.1, out_of_order=True, unlisted=0.3)
    connection = Connection(stage.url(provider))
    for letter in write(stage.sim.world, provider, LETTERS, SECRET, mix=mix, seed=seed):
        post.sent.append(letter)
        if is_accepted(connection.post(letter)):
            post.accepted.append(letter)
        if over.is_set():
            break
        time.sleep(SPAN / LETTERS)
    connection.close()
