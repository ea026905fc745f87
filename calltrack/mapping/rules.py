"""Rules by which an account leaves calls out: `campaign_id=9001, direction=outbound`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from calltrack.model import CallRecord

#: fields of a call that a rule may be about
FIELDS = (
    *("status", "direction", "disposition", "tracking_number", "campaign_id", "campaign_name", "publisher_id"),
    *("publisher", "buyer_id", "buyer", "agent_id", "agent_name", "agent_email", "lead_id", "queue", "language"),
)


def rules(text: str) -> Mapping[str, frozenset[str]]:
    """Field → the values, in small letters, that leave a call out. Raises `ValueError` with what to write instead."""
    found: dict[str, frozenset[str]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value or name not in FIELDS:
            raise ValueError(f"{part!r} is no rule: write FIELD=VALUE, …, with one of {', '.join(FIELDS)}")
        found[name] = found.get(name, frozenset()) | {value.lower()}
    return found


_rules = lru_cache(maxsize=100)(rules)


def excluded_by(record: CallRecord, text: str) -> str | None:
    """The rule that leaves this call out, as `campaign_id=9001`; None: it is taken in."""
    for name, values in _rules(text).items() if text else ():
        value = getattr(record, name)
        if value is not None and str(value).lower() in values:
            return f"{name}={value}"
    return None
