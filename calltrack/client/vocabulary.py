"""What a provider's declaration is written with, in one place to import it from."""

from __future__ import annotations

from calltrack.client.ask import Ask
from calltrack.client.auth import BasicKeys, HeaderToken, QueryKeys
from calltrack.client.pages import CursorPages, LinkPages, NumberedPages, OffsetPages
from calltrack.client.verdict import BodyStatus, BodyVerdict
from calltrack.client.windows import (
    NewestChangeFirst,
    TimeFilter,
    local_days,
    local_seconds,
    rfc3339,
    rfc3339_seconds,
    spaced_seconds,
)

__all__ = [
    "Ask",
    "BasicKeys",
    "BodyStatus",
    "BodyVerdict",
    "CursorPages",
    "HeaderToken",
    "LinkPages",
    "NewestChangeFirst",
    "NumberedPages",
    "OffsetPages",
    "QueryKeys",
    "TimeFilter",
    "local_days",
    "local_seconds",
    "rfc3339",
    "rfc3339_seconds",
    "spaced_seconds",
]
