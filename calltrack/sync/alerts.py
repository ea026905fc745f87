"""What somebody should look at. An alert is open until that has passed; the same one is not opened twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, RowMapping, text

from calltrack import log

#: webhooks stopped, while polling still finds calls
SILENCE = "webhooks_silent"
#: a check of the ledger found calls that nothing explains, or that differ
INCOMPLETE = "ledger_incomplete"

_OPEN = text("""
INSERT INTO alerts AS alert (account_id, kind, message, details)
VALUES (:account_id, :kind, :message, CAST(:details AS jsonb))
ON CONFLICT (account_id, kind) WHERE closed_at IS NULL DO UPDATE SET last_seen_at = now(),
    message = excluded.message, details = excluded.details
RETURNING alert.xmax = 0 AS fresh
""")
_CLOSE = text(
    "UPDATE alerts SET closed_at = now() WHERE account_id = :account_id AND kind = :kind AND closed_at IS NULL"
)
_LIST = text("""
SELECT alert.id, account.provider_type || '/' || account.name AS account, alert.kind, alert.message, alert.details,
    alert.opened_at, alert.last_seen_at, alert.closed_at
FROM alerts alert LEFT JOIN provider_configs account ON account.id = alert.account_id
WHERE :closed OR alert.closed_at IS NULL ORDER BY alert.id DESC LIMIT :most
""")

logger = log.get(__name__)


def open(connection: Connection, account_id: UUID, kind: str, message: str, **details: Any) -> None:  # noqa: A001 - reads as `alerts.open(…)`
    """Open an alert of this kind, or say again what it is about. The caller commits."""
    values = {"account_id": account_id, "kind": kind, "message": message, "details": orjson.dumps(details).decode()}
    if connection.execute(_OPEN, values).scalar_one():
        logger.error("alert", account_id=str(account_id), kind=kind, message=message)


def close(connection: Connection, account_id: UUID, kind: str) -> None:
    """It has passed: close the account's alert of this kind, if there is one. The caller commits."""
    if connection.execute(_CLOSE, {"account_id": account_id, "kind": kind}).rowcount:
        logger.info("alert closed", account_id=str(account_id), kind=kind)


def list_(connection: Connection, *, closed: bool = False, most: int = 100) -> Sequence[RowMapping]:
    """The open alerts, newest first; `closed`: those of the past too."""
    return connection.execute(_LIST, {"closed": closed, "most": most}).mappings().all()
