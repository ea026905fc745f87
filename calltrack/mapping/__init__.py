"""Small, fast readers for what providers send. All of them know blanks; none of them raises for a bad optional field.

A value that cannot be read is `None`: it never loses the call. The only reader that refuses a record is `external_id`.
They run thousands of times a second and for every field, so the common case comes first in each of them.

    from calltrack import mapping as read

    duration_seconds=read.first(read.whole, raw, "total_duration", "duration")
"""

from __future__ import annotations

from calltrack.mapping.amounts import emptied
from calltrack.mapping.context import Context, Raw, unwrap
from calltrack.mapping.fields import Fields
from calltrack.mapping.numbers import money, whole
from calltrack.mapping.phones import phone
from calltrack.mapping.text import blank, external_id, first, flag, kept, labels, link, text
from calltrack.mapping.times import epoch_ms, moment
from calltrack.mapping.words import DIRECTIONS, EVENTS, STATUSES, Event, event_of, own_statuses, word

__all__ = [
    "DIRECTIONS",
    "EVENTS",
    "STATUSES",
    "Context",
    "Event",
    "Fields",
    "Raw",
    "blank",
    "emptied",
    "epoch_ms",
    "event_of",
    "external_id",
    "first",
    "flag",
    "kept",
    "labels",
    "link",
    "moment",
    "money",
    "own_statuses",
    "phone",
    "text",
    "unwrap",
    "whole",
    "word",
]
