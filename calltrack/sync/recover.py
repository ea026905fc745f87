"""What webhooks missed: the provider's list of a range, held against what was known already."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from calltrack.db.session import engine

_FOUND = text("""
SELECT DISTINCT known.external_id, event.event FROM call_events event JOIN calls known ON known.id = event.call_id
WHERE event.page_id IN (SELECT id FROM sync_pages WHERE run_id = :run_id) ORDER BY known.external_id
""")


@dataclass(frozen=True)
class Recovered:
    """What a run over a range brought that was not known before it."""

    #: external ids of calls that no webhook and no sync had told of
    missed: list[str]
    #: of calls that were known, and have changed
    changed: list[str]


def recovered(run_id: int) -> Recovered:
    """What this run has found so far."""
    with engine().connect() as connection:
        return _recovered(connection, run_id)


def _recovered(connection: Connection, run_id: int) -> Recovered:
    found = connection.execute(_FOUND, {"run_id": run_id}).all()
    missed = [row.external_id for row in found if row.event == "inserted"]
    known = set(missed)
    return Recovered(missed, [row.external_id for row in found if row.external_id not in known])
