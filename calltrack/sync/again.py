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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from calltrack import registry
from calltrack.db.session import driver
from calltrack.sync import confirmations
from calltrack.sync.ingest import Outcome
from calltrack.sync.observe import Sight
from calltrack.sync.plan import Mode
from calltrack.sync.reading import readings

_TWIN = text("""
WITH twin AS (
    SELECT held, held_as FROM sync_pages
    WHERE account_id = :account_id AND body_digest = :body_digest AND held IS NOT NULL AND state = 'stored'
      AND mapper_version = :mapper_version AND id <> :id
    ORDER BY id DESC LIMIT 1
)
SELECT held, held_as FROM twin
WHERE cardinality(held) = (
    SELECT count(*) FROM unnest(twin.held, twin.held_as) record(id, digest)
    JOIN calls ON calls.id = record.id AND calls.content_digest = record.digest)
""")


@dataclass(frozen=True)
class Held:
    """The calls of a page, and as which records it holds them, read by which version of the mapper."""

    calls: list[UUID]
    digests: list[bytes]
    mapper_version: int

    def columns(self) -> dict[str, Any]:
        """As `sync_pages` keeps it."""
        return {"held": self.calls, "held_as": self.digests, "mapper_version": self.mapper_version}


NOTHING: dict[str, Any] = dict.fromkeys(("held", "held_as", "mapper_version"))


def held_by(page: Mapping[Any, Any], sight: Sight, outcome: Outcome, mapper_version: int) -> Held | None:
    """What a page held; None where that does not tell all of it, or where its records are not of one kind."""
    versioned = registry.get(page["provider"]).versioned
    alike = all(one.versioned is versioned for one in sight.observations)
    if not alike or sight.rejects or sight.excluded or outcome.refused or outcome.duplicates or not outcome.records:
        return None
    calls, digests = zip(*outcome.records, strict=True)
    return Held(list(calls), list(digests), mapper_version)


def held_before(connection: Connection, page: RowMapping) -> Held | None:
    """What this page holds, if the same page was stored before, and every row still holds just that."""
    reading, *beside = readings(page)
    if beside or not reading.target.logged or page["mode"] == Mode.CHECK or page["settings"].get("exclude"):
        return None
    if not registry.get(page["provider"]).versioned:  # it confirms what a late delivery would undo
        confirmations.guard_page(driver(connection).cursor(), page["account_id"])
    asked = {name: page[name] for name in ("id", "account_id", "body_digest")}
    found = connection.execute(_TWIN, {**asked, "mapper_version": reading.mapper.version}).one_or_none()
    if found is None:
        return None
    calls, digests = found
    return Held(calls, digests, reading.mapper.version)
