"""Amounts that a complete record states to be empty: there is none, and one that was there before is withdrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calltrack.model import CallRecord

NONE: frozenset[str] = frozenset()
NOT_STATED = object()


def emptied(record: CallRecord, amounts: Mapping[str, Sequence[str]], *, left_out: bool = False) -> frozenset[str]:
    """The columns of these amounts that the record states as null or "" (`CallRecord.emptied`).

    `amounts`: column → the names it has in the raw record. `left_out`: where a name is missing that says so, too.
    """
    found = [
        column
        for column, names in amounts.items()
        if getattr(record, column) is None and _stated_empty(record.raw, names, left_out=left_out)
    ]
    return frozenset(found) if found else NONE


def _stated_empty(raw: Mapping[str, Any], names: Sequence[str], *, left_out: bool) -> bool:
    values = [raw.get(name, "" if left_out else NOT_STATED) for name in names]
    return None in values or "" in values
