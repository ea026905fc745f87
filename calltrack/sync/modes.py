"""How an account is run: live, or in shadow mode; with a candidate mapper beside its own, or without."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from calltrack import registry
from calltrack.db import audit
from calltrack.db.session import driver
from calltrack.errors import FixConfiguration
from calltrack.sync import remap, shadow
from calltrack.sync.reading import CANDIDATE, LIVE, SHADOW, mapper
from calltrack.sync.shadow import Reach

MODES = (LIVE, SHADOW)
CURRENT = "current"
MAPPERS = (CURRENT, CANDIDATE)

_ACCOUNT = """
SELECT id, provider_type AS provider, provider_type || '/' || name AS label, mode, shadow_mapper, shadow_since
FROM provider_configs WHERE id = :id
"""
_LOOK = text(_ACCOUNT)
#: waits for whoever stores a page or a delivery of the account: all that was read in the old mode is committed then
_LOCK = text(f"{_ACCOUNT} FOR UPDATE")
_SET = text("""
UPDATE provider_configs SET mode = :mode, shadow_mapper = :mapper, updated_at = now(),
    shadow_since = CASE WHEN :shadowed THEN now() END
WHERE id = :id
""")


def set_mode(connection: Connection, account_id: UUID, mode: str | None, mapper_name: str | None) -> int | None:
    """Run the account in another way; None: as it is. The caller commits.

    Returns the operation that brings into `calls` what was landed while it was in shadow mode; None: nothing was.
    Raises `FixConfiguration`.
    """
    account = connection.execute(_LOCK, {"id": account_id}).mappings().one()
    wanted = mode or account["mode"], _mapper(account, mapper_name)
    if wanted == (account["mode"], account["shadow_mapper"]):
        return None
    _check(connection, account, *wanted)
    shadow.clear(driver(connection).cursor(), account_id)
    values = {"id": account_id, "mode": wanted[0], "mapper": wanted[1], "shadowed": wanted != (LIVE, None)}
    connection.execute(_SET, values)
    audit.record(connection, "account.mode_set", account["label"], mode=wanted[0], mapper=wanted[1] or CURRENT)
    if account["mode"] == SHADOW and wanted[0] == LIVE:
        return remap.begin(connection, account_id, since=account["shadow_since"], apply=True)
    return None


def reach(connection: Connection, account_id: UUID) -> Reach:
    """What the account's shadow knows of. Raises `FixConfiguration` where it has none."""
    account = connection.execute(_LOOK, {"id": account_id}).mappings().one()
    if account["shadow_since"] is None:
        label = account["label"]
        raise FixConfiguration(
            f"{label} has no shadow: begin one with `calltrack accounts set {label} --mode shadow`, or with "
            "`--mapper candidate`."
        )
    version = mapper(registry.get(account["provider"]), account["shadow_mapper"]).version
    return Reach(account_id, version, account["shadow_since"])


def _mapper(account: RowMapping, name: str | None) -> str | None:
    """The name as it stands in the row: None for the current one."""
    kept: str | None = account["shadow_mapper"]
    return kept if name is None else None if name == CURRENT else name


def _check(connection: Connection, account: RowMapping, mode: str, name: str | None) -> None:
    label, running = account["label"], remap.under_way(connection, account["id"])
    mapper(registry.get(account["provider"]), name)
    if running is not None:
        raise FixConfiguration(f"Operation {running} is a remap of {label}: let it end, or cancel it, first.")
    if account["mode"] == SHADOW and mode == LIVE and name is not None:
        raise FixConfiguration(
            f"{label} goes live with its current mapper: set `--mode live --mapper current` first, then the candidate."
        )
