"""Between a call's merged state and its row: columns read as a `Row`, a `Row` staged as columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calltrack.db import upsert
from calltrack.sync.merge import METADATA, Row, dump_stamps, load_stamps

_BOOKKEPT = frozenset({"observations", "content_digest"})


def row_of(columns: Mapping[str, Any]) -> Row:
    """The merged state that a row of `calls` holds."""
    values = {name: value for name, value in columns.items() if name not in _BOOKKEPT}
    for key, value in (values.pop("metadata") or {}).items():
        values[METADATA + key] = value
    return Row(values, load_stamps(columns["observations"], values))


def columns_of(row: Row, digest: bytes | None) -> tuple[Any, ...]:
    """The values of `upsert.MERGED` that hold this state."""
    metadata = {name.removeprefix(METADATA): value for name, value in row.values.items() if name.startswith(METADATA)}
    columns = {
        **row.values,
        "metadata": metadata or None,
        "observations": dump_stamps(row),
        "content_digest": digest,
    }
    return tuple([columns.get(name) for name in upsert.MERGED])
