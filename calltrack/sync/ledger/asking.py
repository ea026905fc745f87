"""Asking the provider, by their ids, for calls that are here and not on its list: they may be gone, or just not listed.

The questions are pages of the same check: landed, kept and compared as all pages are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from calltrack import registry
from calltrack.sync.ledger.settle import YOUNG
from calltrack.sync.reading import ONE

#: calls that one check asks for
MOST = 50

_SETTINGS = text("SELECT settings FROM provider_configs WHERE id = :account_id")
#: not asked for yet, and old enough to be listed
_UNLISTED = text("""
SELECT known.external_id FROM ledger_buckets bucket JOIN calls known ON known.account_id = bucket.account_id
    AND known.started_at >= bucket.since AND known.started_at < bucket.until AND known.started_at <= now() - :young
WHERE bucket.run_id = :run_id
  AND NOT EXISTS (SELECT FROM ledger_sightings WHERE bucket_id = bucket.id AND external_id = known.external_id)
  AND NOT EXISTS (SELECT FROM sync_pages WHERE run_id = :run_id AND cursor ? :one)
ORDER BY known.external_id LIMIT :most
""")


def unlisted(connection: Connection, run: Mapping[Any, Any]) -> Sequence[str]:
    """The calls that a check, whose list is read, has to ask for; none where the provider gives no single call."""
    settings = connection.execute(_SETTINGS, dict(run)).scalar_one()
    if registry.get(run["provider"]).calls(settings).one is None:
        return []
    wanted = {"run_id": run["id"], "young": YOUNG, "one": ONE, "most": MOST}
    return connection.execute(_UNLISTED, wanted).scalars().all()
