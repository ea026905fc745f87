"""Records that drift from what was published: new fields, objects where text was, words that nobody has heard of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.chance import fraction

Json = dict[str, Any]

UNHEARD_OF = "pending_review_v2"

NEWCOMERS: Json = {
    "ai_summary": {"text": "The caller asked for a quote.", "confidence": 0.87, "topics": ["quote", None]},
    "x_flags": [1, "two", {"three": []}],
    "schema_version": 3,
}


@dataclass(frozen=True)
class Drift:
    """What of a provider's records may drift, beside new fields that come on top. Never the id."""

    #: keys of texts that become objects
    nested: tuple[str, ...] = ()
    #: key of the status
    status: str = ""
    #: what of the truth nobody can know of such a call any more
    hides: tuple[str, ...] = ()


def drifts(share: float, seed: int, call_id: str) -> bool:
    """Whether this call's records are among those that drift."""
    return share > 0.0 and fraction(seed, "drift", call_id) < share


def drifted(fields: Json, drift: Drift) -> Json:
    """The fields of such a record."""
    nested = {key: {"id": 7, "label": fields[key]} for key in drift.nested if isinstance(fields.get(key), str)}
    status = {drift.status: UNHEARD_OF} if drift.status in fields else {}
    return {**fields, **nested, **status, **NEWCOMERS}
