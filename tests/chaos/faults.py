"""What is done to the system, by name. A fault that lasts gives back what ends it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import psycopg

from simulator import Limit
from tests.chaos.stage import COMMANDS, PROVIDERS, Stage

Undo = Callable[[], None]
Act = Callable[[Stage, Random], "Undo | None"]

WORKERS = ("fetch", "store", "control")
#: what the disk says when it is full, said by a trigger: it is the error that the landing statements meet
DISK_FULL = """
CREATE OR REPLACE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE OR REPLACE TRIGGER disk_full BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION disk_full();
"""
#: what the simulated providers do wrong for a while
HABITS = {
    "server errors": "server_errors=0.5",
    "connections reset": "cut_connections=0.4",
    "truncated JSON": "cut_json=0.4",
    "HTML for JSON": "html_answers=0.4",
    "connections left hanging": "hangs=0.3, hang_seconds=1",
    "endless next link": "endless_next",
    "repeated cursor": "repeated_cursor",
    "pages that shift": "page_shift=3",
    "late changes": "late_changes=0.1",
}
#: longer than a request is waited for
NO_ANSWER = "hangs=0.1, hang_seconds=40"
#: what the provider lets through in the seconds of a fault: below what the account is set to
LIMITS = {
    "429 with Retry-After": ((4,), 0.0),
    "429 without Retry-After": ((4,), 1.0),
    "limit that shrinks": ((8, 5, 2), 0.3),
}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, for `seconds` at most."""

    name: str
    act: Act
    seconds: float = 0.0


def killing(name: str) -> Act:
    def act(stage: Stage, _: Random) -> None:
        stage.kill(name)

    return act


def kill_all(stage: Stage, _: Random) -> None:
    for name in WORKERS:
        stage.kill(name)


def flush(stage: Stage, _: Random) -> None:
    stage.broker().flushall()


def stop_broker(stage: Stage, _: Random) -> Undo:
    """It comes back with the messages that it had."""
    stage.valkey.stop()
    return stage.valkey.start


def empty_broker(stage: Stage, _: Random) -> Undo:
    """It is killed, and comes back with nothing."""
    stage.crash(stage.valkey)
    shutil.rmtree(stage.valkey.folder)
    return stage.valkey.start


def stop_postgres(stage: Stage, _: Random) -> Undo:
    stage.postgres.stop()
    return stage.postgres.start


def crash_postgres(stage: Stage, _: Random) -> None:
    stage.crash(stage.postgres)
    stage.postgres.start()


def cut_connections(stage: Stage, _: Random) -> None:
    """In the middle of whatever they do."""
    stage.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )


def fill_disk(stage: Stage, chance: Random) -> Undo:
    table = chance.choice(("webhook_logs", "sync_pages", "calls"))
    stage.execute(DISK_FULL.format(table=table))
    return lambda: stage.execute(f"DROP TRIGGER IF EXISTS disk_full ON {table}")


def repeat_messages(stage: Stage, chance: Random) -> None:
    """Messages that came before come again: about pages in any state, long stored ones too."""
    from calltrack.sync.hints import Hint, Step
    from tasks.hints import send

    try:
        pages = stage.rows("SELECT id, provider, state FROM sync_pages")
    except psycopg.Error:
        return
    chosen = chance.sample(pages, min(20, len(pages)))
    steps = {"pending": Step.FETCH, "fetched": Step.STORE}
    hints = [
        Hint(steps.get(state, chance.choice(tuple(steps.values()))), provider, page) for page, provider, state in chosen
    ]
    send([*hints, *hints, *(Hint(Step.DELIVERIES, provider) for provider in PROVIDERS)])


def say_again(stage: Stage, chance: Random) -> None:
    """Real messages come a second time, byte for byte."""
    heard = list(stage.eavesdropper.heard)
    stage.eavesdropper.say_again(chance.sample(heard, min(50, len(heard))))


def jump(stage: Stage, chance: Random) -> Undo:
    """The clocks of all workers, of beat and the receiver; Postgres keeps the time."""
    stage.clock.jump(chance.choice((-86_400, -3600, -60, 60, 3600, 86_400)))
    return lambda: stage.clock.jump(0)


def misbehaving(habits: str) -> Act:
    def act(stage: Stage, chance: Random) -> Undo:
        # Convoso has no links that could name the wrong page.
        return stage.misbehave("retreaver" if "cursor" in habits else chance.choice(PROVIDERS), habits)

    return act


def limiting(counts: Sequence[int], silent: float) -> Act:
    """Let ever fewer requests through per second."""

    def act(stage: Stage, chance: Random) -> Undo:
        assert stage.sim
        provider = chance.choice(PROVIDERS)
        stand_in, talking = stage.sim.provider(provider), stage.misbehave(provider, f"silent_429={silent}")
        later = [
            threading.Timer(LASTS / len(counts) * nth, stand_in.limit, [[Limit(count, 1)]])
            for nth, count in enumerate(counts)
        ]
        for timer in later:
            timer.start()

        def undo() -> None:
            for timer in later:
                timer.cancel()
                timer.join()
            stand_in.limit([])
            talking()

        return undo

    return act


def down(stage: Stage, chance: Random) -> Undo:
    """It answers every request with 503."""
    assert stage.sim
    stand_in = stage.sim.provider(chance.choice(PROVIDERS))
    vars(stand_in)["reply"] = lambda _: stand_in.refuse(503, "Down for maintenance.")
    return lambda: vars(stand_in).pop("reply", None) and None


LASTS = 6.0
FAULTS = (
    *(Fault(f"{name} killed", killing(name)) for name in COMMANDS),
    Fault("all workers killed", kill_all),
    Fault("broker flushed", flush),
    Fault("broker stopped", stop_broker, 20),
    Fault("broker killed, back empty", empty_broker, 2),
    Fault("Postgres stopped", stop_postgres, 20),
    Fault("Postgres killed", crash_postgres),
    Fault("connections cut in transactions", cut_connections),
    Fault("disk full", fill_disk, 5),
    Fault("messages about any page", repeat_messages),
    Fault("messages delivered twice", say_again),
    Fault("clock jumps", jump, LASTS),
    Fault("provider down", down, LASTS),
    Fault("provider: no answers", misbehaving(NO_ANSWER), 3),
    *(Fault(f"provider: {name}", limiting(*limits), LASTS) for name, limits in LIMITS.items()),
    *(Fault(f"provider: {name}", misbehaving(habits), LASTS) for name, habits in HABITS.items()),
)
