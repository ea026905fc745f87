"""Operations: what is done to much data, bit by bit: a replay, a retry of rejects, a remap.

An operation is a row that says what was asked for and how far it is. Each step does one chunk, and moves the row, in
one transaction: an operation that is killed anywhere goes on where it was, does nothing twice, and needs nobody for
that, because the sweeper finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import OperationalError

from calltrack.client.retry import backoff
from calltrack.db.session import engine
from calltrack.errors import CalltrackError, FixConfiguration
from calltrack.sync.hints import Hint, Step

#: kind → the module whose `step` does a chunk of it
KINDS = {
    "replay": "calltrack.sync.replay",
    "rejects": "calltrack.sync.rejected",
    "remap": "calltrack.sync.remap",
}
MAX_ATTEMPTS = 8

_BEGIN = text("""
INSERT INTO operations (kind, account_id, arguments, total)
VALUES (:kind, :account_id, CAST(:arguments AS jsonb), :total) RETURNING id
""")
_TAKE = "SELECT * FROM operations WHERE id = :id AND state = 'running' FOR NO KEY UPDATE"
_TAKE_PATIENTLY, _TAKE_FREE = text(_TAKE), text(f"{_TAKE} SKIP LOCKED")
_ADVANCED = text("""
UPDATE operations SET position = CAST(:position AS jsonb), counts = CAST(:counts AS jsonb), done = :done,
    progressed_at = clock_timestamp(), attempts = 0, next_attempt_at = now(), reason = NULL, error = NULL,
    state = CASE WHEN :finished THEN 'completed' ELSE state END,
    finished_at = CASE WHEN :finished THEN clock_timestamp() END
WHERE id = :id RETURNING *
""")
_STUMBLED = text("""
UPDATE operations SET attempts = attempts + 1, next_attempt_at = now() + :wait, reason = :reason, error = :error,
    state = CASE WHEN attempts + 1 >= :most THEN 'failed' ELSE state END,
    finished_at = CASE WHEN attempts + 1 >= :most THEN clock_timestamp() END
WHERE id = :id AND state = 'running'
""")
_CANCEL = text("""
UPDATE operations SET state = 'cancelled', reason = 'cancelled', finished_at = clock_timestamp()
WHERE id = :id AND state = 'running'
""")
_RESUME = text("""
UPDATE operations SET state = 'running', reason = NULL, error = NULL, attempts = 0, next_attempt_at = now(),
    finished_at = NULL
WHERE id = :id AND state IN ('failed', 'cancelled') RETURNING id
""")
_FORGOTTEN = text("""
SELECT id, kind FROM operations
WHERE state = 'running' AND next_attempt_at <= now() AND progressed_at < now() - :patience ORDER BY id LIMIT 100
""")


@dataclass(frozen=True)
class Operation:
    """An operation as it stands."""

    id: int
    kind: str
    #: None: of all accounts
    account_id: UUID | None
    arguments: Mapping[str, Any]
    state: str
    position: Mapping[str, Any]
    #: how much there was to do when it began, as far as that was known; and how much of it is done
    total: int
    done: int
    #: what became of what was done
    counts: dict[str, int]
    error: str | None


@dataclass(frozen=True)
class Advance:
    """What one step did."""

    #: where the next step goes on; None: there is nothing left
    position: Mapping[str, Any] | None
    done: int = 0
    #: to be added to the operation's counts
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


def begin(
    connection: Connection, kind: str, account_id: UUID | None, arguments: Mapping[str, Any], total: int = 0
) -> int:
    """A new operation's id. Nothing is done before somebody calls `advance`, or the sweeper finds it."""
    values = {"kind": kind, "account_id": account_id, "arguments": orjson.dumps(arguments).decode(), "total": total}
    return int(connection.execute(_BEGIN, values).scalar_one())


def advance(operation_id: int, *, patient: bool = False) -> Operation | None:
    """Do one chunk. None: it has ended, or somebody else is at it; who is `patient` waits for that one.

    A fault is noted with the operation and raised; the operation is tried again later, and given up after some tries.
    """
    try:
        with engine().begin() as connection:
            taken = connection.execute(_TAKE_PATIENTLY if patient else _TAKE_FREE, {"id": operation_id})
            row = taken.mappings().one_or_none()
            return _advance(connection, _operation(row)) if row else None
    except OperationalError:
        raise
    except Exception as error:
        _stumbled(operation_id, error)
        raise


def _advance(connection: Connection, operation: Operation) -> Operation:
    step: Callable[[Connection, Operation], Advance] = import_module(KINDS[operation.kind]).step
    moved = step(connection, operation)
    names = {**operation.counts, **moved.counts}
    counts = {name: operation.counts.get(name, 0) + moved.counts.get(name, 0) for name in names}
    values = {
        "id": operation.id,
        "position": orjson.dumps(operation.position if moved.position is None else moved.position).decode(),
        "counts": orjson.dumps(counts).decode(),
        "done": operation.done + moved.done,
        "finished": moved.position is None,
    }
    return _operation(connection.execute(_ADVANCED, values).mappings().one())


def _stumbled(operation_id: int, error: Exception) -> None:
    if isinstance(error, CalltrackError):
        note = {"reason": error.reason, "error": error.message}
    else:
        note = {"reason": "failed", "error": type(error).__name__}
    with engine().begin() as connection:
        attempts = connection.scalar(text("SELECT attempts FROM operations WHERE id = :id"), {"id": operation_id}) or 0
        wait = timedelta(seconds=backoff(attempts + 1))
        connection.execute(_STUMBLED, {"id": operation_id, "wait": wait, "most": MAX_ATTEMPTS, **note})


def find(connection: Connection, operation_id: int) -> Operation:
    """The operation. Raises `FixConfiguration` where there is none of this number."""
    row = connection.execute(text("SELECT * FROM operations WHERE id = :id"), {"id": operation_id}).mappings().first()
    if row is None:
        raise FixConfiguration(f"There is no operation {operation_id}: see `calltrack operations list`.")
    return _operation(row)


def cancel(connection: Connection, operation_id: int) -> None:
    """Stop an operation where it is. Raises `FixConfiguration` where it is not under way."""
    if not connection.execute(_CANCEL, {"id": operation_id}).rowcount:
        raise FixConfiguration(f"Operation {operation_id} is not under way: see `calltrack operations list`.")


def resume(connection: Connection, operation_id: int) -> None:
    """Let a stopped operation go on. Raises `FixConfiguration` where there is nothing to resume."""
    if connection.execute(_RESUME, {"id": operation_id}).first() is None:
        raise FixConfiguration(f"There is no stopped operation {operation_id}: see `calltrack operations list`.")


def forgotten(connection: Connection, patience: timedelta) -> list[Hint]:
    """Hints for operations that nobody is advancing."""
    rows = connection.execute(_FORGOTTEN, {"patience": patience}).mappings()
    return [hint(row["id"], row["kind"]) for row in rows]


def hint(operation_id: int, kind: str) -> Hint:
    """The hint that brings an operation on its way."""
    return Hint(Step.OPERATION, "", operation_id, f"{kind}, operation {operation_id}")


def _operation(row: RowMapping) -> Operation:
    names = ("id", "kind", "account_id", "arguments", "state", "position", "total", "done", "counts", "error")
    return Operation(**{name: row[name] for name in names})
