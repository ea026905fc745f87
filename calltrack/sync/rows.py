"""Between a call's merged state and its row: columns read as a `Row`, a `Row` staged as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from calltrack.db import upsert
from calltrack.sync.merge import METADATA, Row, dump_stamps, load_stamps

#: behind a `content_digest`: of a record that the row does not hold all of, because another one gave some of its fields
PARTLY = b"+"
SIZE = 16
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


def digest_of(row: Row, digest: bytes, fields: Iterable[str]) -> bytes:
    """The `content_digest` of a row that took in this record, which gives these fields.

    A record that carries a version is told again in vain, whatever became of its fields. One that does not is newer
    each time it is told again: it may then take back what another observation gave meanwhile, unless it holds it all.
    """
    held, changed_at = digest.hex(), row.stamps.get("provider_updated_at")
    if changed_at is not None and changed_at.digest == held:
        return digest
    return digest if all(row.stamps[name].digest == held for name in fields) else digest + PARTLY
