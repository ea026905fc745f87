"""What is done to the system, by name. A fault that lasts gives back what ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import psycopg

from simulator import Habits
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
    "server errors": "server_errors=0.4",
    "cut connections": "cut_connections=0.3",
    "cut JSON": "cut_json=0.3",
    "HTML for JSON": "html_answers=0.3",
    "no answers": "hangs=0.2, hang_seconds=1",
    "429": "rate_limit",
    "429 without Retry-After": "rate_limit, silent_429=1",
    "endless next link": "endless_next",
    "repeated cursor": "repeated_cursor",
    "pages that shift": "page_shift",
    "provider down": "server_errors=1",
    "late changes": "late_changes=0.1, late_calls=0.05, late_after=3",
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
    """It comes back empty: it keeps nothing on disk that is younger than its last snapshot."""
    stage.crash(stage.valkey)
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


def misbehaving(habits: str) -> Act:
    def act(stage: Stage, chance: Random) -> Undo:
        assert stage.sim
        stand_in = stage.sim.provider(chance.choice(PROVIDERS))
        before, stand_in.habits = stand_in.habits, Habits.parse(habits)

        def undo() -> None:
            stand_in.habits = before

        return undo

    return act


FAULTS = (
    *(Fault(f"{name} killed", killing(name)) for name in COMMANDS),
    Fault("all workers killed", kill_all),
    Fault("broker flushed", flush),
    Fault("broker stopped, back empty", stop_broker, 20),
    Fault("Postgres stopped", stop_postgres, 20),
    Fault("Postgres killed", crash_postgres),
    Fault("connections cut in transactions", cut_connections),
    Fault("disk full", fill_disk, 5),
    Fault("messages repeated", repeat_messages),
    *(Fault(f"provider: {name}", misbehaving(habits), 6) for name, habits in HABITS.items()),
)
