"""What is stored in the end, against what the provider has: every id, and whatever changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from bench.pages import Provider, Values

#: as a peer stores them
AS_SAID: Mapping[str, str] = {}
#: as calltrack's `calls` has them: the API's word → ours
OURS = {"finished": "completed"}


def check(provider: Provider, state: int, rows: Iterable[tuple[Any, ...]], statuses: Mapping[str, str]) -> None:
    """End the program where these are not the provider's. `rows`: id, status, revenue, moment of the last change."""
    stored = [(row[0], tuple(row[1:])) for row in rows]
    found = dict(stored)
    missing, surplus = len(provider.ids - found.keys()), len(stored) - len(provider.ids & found.keys())
    if missing or surplus:
        raise SystemExit(f"{missing} calls are missing, {surplus} too many: no time is worth telling.")
    stale = sum(found[one] != _row(states[state], statuses) for one, states in provider.changes.items())
    if stale:
        raise SystemExit(
            f"{stale} of {len(provider.changes)} calls do not say what they should: no time is worth telling."
        )


def _row(values: Values, statuses: Mapping[str, str]) -> tuple[str, Decimal | None, datetime]:
    revenue = None if values.revenue is None else Decimal(str(values.revenue))
    return statuses.get(values.status, values.status), revenue, datetime.fromisoformat(values.updated_at)
