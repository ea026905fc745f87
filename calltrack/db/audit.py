"""The audit log: who changed the configuration, and who did what to the data.

Rows are only ever appended; the database refuses everything else (migration 010). The hash of a row covers the row and
the hash of the one before it, and ids count without a gap, so a row that was edited, removed or put in between shows.
The newest row stands in `audit_head` too: so it shows when the newest ones are gone. Whoever may switch triggers off
can forge all of it together; against that helps a head that was kept elsewhere (`head`, `verify`).
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from calltrack import log
from calltrack.db.session import engine

logger = log.get(__name__)

#: the console script
COMMAND = "calltrack"

#: what the first row is chained to
GENESIS = hashlib.sha256(b"calltrack audit log").digest()

_actor: ContextVar[str | None] = ContextVar("actor", default=None)

#: Locks the head until the transaction ends: those who append take turns. Where there is none yet, or no longer, the
#: newest row stands for it.
_LOCK = text("""
INSERT INTO audit_head AS head (one, id, hash)
VALUES (true, coalesce((SELECT max(id) FROM audit_log), 0),
    coalesce((SELECT hash FROM audit_log ORDER BY id DESC LIMIT 1), :genesis))
ON CONFLICT (one) DO UPDATE SET one = true
RETURNING head.id, head.hash, clock_timestamp() AS at, CAST(:details AS jsonb) AS details
""")
_APPEND = text("""
WITH head AS (UPDATE audit_head SET id = :id, hash = :hash)
INSERT INTO audit_log (id, at, actor, action, subject, details, hash)
VALUES (:id, :at, :actor, :action, :subject, CAST(:details AS jsonb), :hash)
""")
_HEAD = text("SELECT id, hash FROM audit_head")
#: at least one row, so that the head comes even with an empty log; one statement, so that both are of one moment
_CHAIN = text("""
SELECT log.*, head.id AS head_id, head.hash AS head_hash
FROM (VALUES (1)) AS once LEFT JOIN audit_log log ON true LEFT JOIN audit_head head ON true
ORDER BY log.id
""")

_ENTRIES = text("""
SELECT * FROM audit_log
WHERE (CAST(:since AS timestamptz) IS NULL OR at >= :since)
  AND starts_with(subject, :subject) AND starts_with(action, :action)
ORDER BY id DESC LIMIT :most
""")


@dataclass(frozen=True)
class Head:
    """The newest row: with its hash, all rows up to it are fixed."""

    id: int
    #: 64 hexadecimal digits
    hash: str


@dataclass(frozen=True)
class Broken:
    """The first place where the log is not as it was written."""

    id: int
    #: one sentence
    why: str


def record(connection: Connection, action: str, subject: str, **details: object) -> None:
    """Append a row, in the transaction of the change that it tells of: both are committed, or neither.

    `details` go into the table as JSON: names, numbers and times, never a secret or a body. From here on nobody else
    can append until the transaction ends, so call it late in one, and keep that one short.
    """
    given = json.dumps(details, default=str)
    # The details come back as the table will give them: 1e22 is written in another way by each side.
    head = connection.execute(_LOCK, {"genesis": GENESIS, "details": given}).one()
    row = {
        "id": head.id + 1,
        "at": head.at,
        "actor": actor(),
        "action": action,
        "subject": subject,
        "details": head.details,
    }
    connection.execute(_APPEND, {**row, "details": given, "hash": _hash(row, head.hash)})


def entries(
    connection: Connection,
    since: datetime | None = None,
    subject: str | None = None,
    action: str | None = None,
    most: int = 50,
) -> Sequence[RowMapping]:
    """Rows, newest first: from a time on, and of subjects and actions that begin so."""
    wanted = {"since": since, "subject": subject or "", "action": action or "", "most": most}
    return connection.execute(_ENTRIES, wanted).mappings().all()


def head(connection: Connection) -> Head | None:
    """The newest row; None while there is none."""
    found = connection.execute(_HEAD).one_or_none()
    return None if found is None else Head(found.id, bytes(found.hash).hex())


def tell_head() -> None:
    """Log the newest row, where this process has not done so: whoever collects logs keeps a head elsewhere."""
    with engine().connect() as connection:
        newest = head(connection)
    if newest is not None:
        _tell(newest)


@lru_cache(maxsize=1)
def _tell(newest: Head) -> None:
    logger.info("audit log", row=newest.id, hash=newest.hash)


def verify(connection: Connection, kept: Iterable[str] = ()) -> Broken | None:
    """The first row that is not as it was written, or None.

    `kept` are hashes of heads (hexadecimal) that were noted down elsewhere, each of which the log must have.
    """
    wanted = {text.lower() for text in kept}
    last, chained = 0, GENESIS
    noted: tuple[int, bytes] | None = None
    with connection.execute(_CHAIN, execution_options={"yield_per": 1000}) as rows:
        for row in rows.mappings():
            noted = noted if row["head_id"] is None else (row["head_id"], bytes(row["head_hash"]))
            if row["id"] is None:
                break
            if row["id"] != last + 1:
                return Broken(last + 1, f"Row {last + 1} is missing: after row {last} comes row {row['id']}.")
            chained = _hash(row, chained)
            if bytes(row["hash"]) != chained:
                return Broken(row["id"], f"Row {row['id']} is not as it was written, or follows on another one.")
            last = row["id"]
            wanted.discard(chained.hex())
    return _end(last, chained, noted, wanted)


def actor() -> str:
    """Who acts here: what `acting` says, else this program and its user: "cli root@host"."""
    program = Path(sys.argv[0]).name or "python"
    return _actor.get() or f"{'cli' if program == COMMAND else program} {user()}"


@contextmanager
def acting(who: str) -> Iterator[None]:
    """Within it, rows are recorded as done by `who`."""
    before = _actor.set(who)
    try:
        yield
    finally:
        _actor.reset(before)


def act_as(who: str | None) -> None:
    """From now on, in this thread or task, rows are recorded as done by `who`; None: by this program."""
    _actor.set(who)


def user() -> str:
    """`root@host`: who runs this process, and where."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def _end(last: int, chained: bytes, noted: tuple[int, bytes] | None, wanted: set[str]) -> Broken | None:
    """What is wrong with the end of a chain that is whole in itself."""
    if noted is None and last:
        return Broken(last, f"The note of the newest row is gone: whether row {last} was the last one cannot be told.")
    if noted is not None and noted[0] > last:
        return Broken(last + 1, f"Row {last + 1} is missing: the log had {noted[0]} rows and ends with row {last}.")
    if noted is not None and noted != (last, chained):
        return Broken(last, f"Row {last} is not the one that was noted as the newest: rows were put in by hand.")
    if wanted:
        return Broken(last + 1, f"No row has the hash {min(wanted)}: rows that were there are gone, or all was forged.")
    return None


def _hash(row: Mapping[Any, Any], previous: bytes) -> bytes:
    """SHA-256 of the previous hash and the row as JSON: sorted keys, no spaces, plain ASCII, UTC with microseconds."""
    at: datetime = row["at"]
    told = {name: row[name] for name in ("id", "actor", "action", "subject", "details")}
    told["at"] = at.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(previous + json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).digest()
