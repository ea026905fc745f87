"""What the ledger says of a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from calltrack.sync.ledger.settle import NOT_LISTED, STATES

_BUCKETS = text("SELECT * FROM ledger_buckets WHERE id = ANY(:ids) ORDER BY since")
_IDS = text("SELECT * FROM ledger_ids WHERE bucket_id = ANY(:ids) ORDER BY external_id")
_OF_ACCOUNT = text("""
SELECT id FROM ledger_buckets
WHERE account_id = :account_id AND (CAST(:since AS timestamptz) IS NULL OR until > :since)
  AND (CAST(:until AS timestamptz) IS NULL OR since < :until)
ORDER BY since DESC LIMIT :most
""")


@dataclass(frozen=True)
class Report:
    """Some buckets, summed up, and the ids worth naming."""

    buckets: Sequence[RowMapping]
    #: state → ids, and how many the provider reported
    counts: dict[str, int]
    #: not in `calls` when they were looked for
    missing: list[str]
    #: external id → the fields that differed
    mismatched: dict[str, list[str]]
    #: in `calls`, and not on the provider's list
    extra: list[str]
    repaired: list[str]
    unexplained: list[str]
    #: why a check could not be done
    faults: list[str]

    @property
    def complete(self) -> bool:
        """Whether every id is accounted for, and no row differs."""
        return not (self.faults or self.counts["unexplained"] or self.counts["mismatched"])

    def as_json(self) -> dict[str, Any]:
        """Counts, and under "ids" the ids themselves."""
        named = ("missing", "mismatched", "extra", "repaired", "unexplained")
        return {
            **self.counts,
            **{name: len(getattr(self, name)) for name in named},
            "ids": {name: getattr(self, name) for name in named},
            "faults": self.faults,
        }


def report(connection: Connection, bucket_ids: Sequence[int]) -> Report:
    """What the last check of these buckets found."""
    buckets = connection.execute(_BUCKETS, {"ids": list(bucket_ids)}).mappings().all()
    ids = connection.execute(_IDS, {"ids": list(bucket_ids)}).mappings().all()
    return Report(
        buckets=buckets,
        counts={name: sum(bucket[name] for bucket in buckets) for name in ("reported", *STATES)},
        missing=[row["external_id"] for row in ids if row["reason"] == "missing"],
        mismatched={row["external_id"]: row["fields"] for row in ids if row["fields"]},
        extra=[row["external_id"] for row in ids if row["reason"] in NOT_LISTED],
        repaired=[row["external_id"] for row in ids if row["repaired"]],
        unexplained=[row["external_id"] for row in ids if row["state"] == "unexplained"],
        faults=[bucket["reason"] for bucket in buckets if bucket["reason"]],
    )


def of_account(
    connection: Connection, account_id: UUID, since: datetime | None, until: datetime | None, most: int
) -> Report:
    """The newest buckets of an account that touch this range."""
    wanted = {"account_id": account_id, "since": since, "until": until, "most": most}
    return report(connection, connection.execute(_OF_ACCOUNT, wanted).scalars().all())
