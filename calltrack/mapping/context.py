"""What a mapping is given: a provider's record, and what it may know of the account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

Raw = dict[str, Any]

#: how phone numbers without + are read, where the account says nothing else
REGION = "US"


@dataclass(frozen=True)
class Context:
    """What a mapping may know of the account besides the record: its settings (no secrets) and its time zone."""

    settings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The account's `timezone`, UTC where it has none."""
        return ZoneInfo(self.settings.get("timezone") or "UTC")

    @cached_property
    def region(self) -> str:
        """The account's `region`, by which phone numbers without + are read; "none": they stay as they are."""
        return self.settings.get("region") or REGION


def unwrap(record: Any, wrapper: str) -> Raw:
    """The record inside `{wrapper: {…}}`, or itself where it stands bare."""
    inner = record.get(wrapper) if wrapper and isinstance(record, dict) else None
    bare = inner if isinstance(inner, dict) else record
    return bare if isinstance(bare, dict) else {"unreadable": bare}
