"""Which account is meant by what somebody wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from calltrack.db import accounts as rows
from calltrack.db.accounts import DEFAULT
from calltrack.errors import UnknownDoor


def chosen(conn: Connection, name: str) -> Row[Any]:
    """The one account meant by `provider/name`, a provider, or a name. Raises `UnknownDoor` with what there is."""
    everything = rows.overview(conn)
    meant = (
        [row for row in everything if label(row) == name]
        or _by_provider(everything, name)
        or [row for row in everything if row.name == name]
    )
    if len(meant) == 1:
        return meant[0]
    labels = ", ".join(label(row) for row in meant or everything) or "none yet"
    raise UnknownDoor(
        f"{name!r} could be several accounts: {labels}."
        if meant
        else f"There is no account {name!r}. There are: {labels}."
    )


def _by_provider(everything: Sequence[Row[Any]], provider: str) -> list[Row[Any]]:
    """The provider's accounts; only its `default` one where it has that among several."""
    own = [row for row in everything if row.provider_type == provider]
    return [row for row in own if row.name == DEFAULT] or own


def label(row: Row[Any]) -> str:
    """`acme/default`."""
    return f"{row.provider_type}/{row.name}"
