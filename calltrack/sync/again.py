"""A page that was stored before, byte for byte, and has nothing to say: it is neither read nor merged again.

That is safe where reading it would change nothing, and this is looked at rather than assumed. A page that is stored
notes which calls it held, and as which records (their digests). The same bytes again lead to the same records, by the
same mapper; if the row of every one of these calls still holds just this record, whole, then each of them would be
found unchanged one by one. A row that was lost, that a webhook or another page changed, that a remap read anew or that
somebody damaged does not hold it, and then the page is read like any other.

A page of which that would not tell all (something was rejected, excluded, or on it twice) has no note. Checks of the
ledger read every page: they compare what it says with the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Connection

from calltrack import registry
from calltrack.db.session import driver, rows
from calltrack.sync import confirmations
from calltrack.sync.ingest import Outcome
from calltrack.sync.observe import Sight
from calltrack.sync.plan import Mode
from calltrack.sync.reading import readings

#: bytes of a call in such a note
SIZE = 32

#: `|| ''` takes the note out of where Postgres keeps large values once, and not for each of its parts. Each row of
#: `calls` is looked up by itself: joined, they may be found by reading the whole table.
_TWIN = """
WITH twin AS MATERIALIZED (
    SELECT held || ''::bytea AS held FROM (
        SELECT held FROM sync_pages
        WHERE account_id = %(account_id)s AND body_digest = %(body_digest)s AND held IS NOT NULL AND state = 'stored'
          AND mapper_version = %(mapper_version)s AND id <> %(id)s
        ORDER BY id DESC LIMIT 1) newest
), record AS MATERIALIZED (
    SELECT encode(substring(held FROM place FOR 16), 'hex')::uuid AS id,
        substring(held FROM place + 16 FOR 16) AS digest
    FROM twin, generate_series(1, octet_length(held), 32) place
)
SELECT held FROM twin
WHERE octet_length(held) / 32 = (
    SELECT count(*) FROM record
    WHERE (SELECT content_digest FROM calls WHERE calls.id = record.id) = record.digest)
"""


@dataclass(frozen=True)
class Held:
    """The calls of a page, and as which records it holds them, read by which version of the mapper."""

    #: 32 bytes for each: the call's id and the record's digest
    packed: bytes
    mapper_version: int

    @classmethod
    def of(cls, records: Iterable[tuple[UUID, bytes]], mapper_version: int) -> Self:
        return cls(b"".join([call.bytes + digest for call, digest in records]), mapper_version)

    def __len__(self) -> int:
        """How many calls there are."""
        return len(self.packed) // SIZE

    @property
    def records(self) -> list[tuple[UUID, bytes]]:
        """The calls, and as which records."""
        found = (self.packed[place : place + SIZE] for place in range(0, len(self.packed), SIZE))
        return [(UUID(bytes=one[:16]), one[16:]) for one in found]

    def columns(self) -> dict[str, Any]:
        """As `sync_pages` keeps it."""
        return {"held": self.packed, "mapper_version": self.mapper_version}


NOTHING: dict[str, Any] = {"held": None, "mapper_version": None}


def held_by(page: Mapping[Any, Any], sight: Sight, outcome: Outcome, mapper_version: int) -> Held | None:
    """What a page held; None where that does not tell all of it, or where its records are not of one kind."""
    versioned = registry.get(page["provider"]).versioned
    alike = all(one.versioned is versioned for one in sight.observations)
    if not alike or sight.rejects or sight.excluded or outcome.refused or outcome.duplicates or not outcome.records:
        return None
    return Held.of(outcome.records, mapper_version)


def held_before(connection: Connection, page: Mapping[str, Any]) -> Held | None:
    """What this page holds, if the same page was stored before, and every row still holds just that."""
    if page["mode"] == Mode.FULL and page["synced_until"] is None:  # the first sync: no page was there before
        return None
    reading, *beside = readings(page)
    if beside or not reading.target.logged or page["mode"] == Mode.CHECK or page["settings"].get("exclude"):
        return None
    if not registry.get(page["provider"]).versioned:  # it confirms what a late delivery would undo
        confirmations.guard_page(driver(connection).cursor(), page["account_id"])
    asked = {name: page[name] for name in ("id", "account_id", "body_digest")}
    twins = rows(connection, _TWIN, {**asked, "mapper_version": reading.mapper.version})
    return Held(twins[0]["held"], reading.mapper.version) if twins else None
