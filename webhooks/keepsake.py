"""What a receiver must know of the accounts, kept on disk: for one that starts while Postgres is away."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from calltrack import log
from calltrack.db.accounts import Account
from calltrack.db.credentials import Vault
from calltrack.errors import FixConfiguration

logger = log.get(__name__)


class Keepsake:
    """The accounts' doors and webhook secrets, in a file of one's own, sealed as they are in the database."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self._path = path
        self._vault = vault
        self._kept: object = None

    def keep(self, copy: Mapping[str, Mapping[str, Account | None]]) -> None:
        """Write the accounts, where they have changed. A disk that takes nothing is no reason to stop."""
        known = [account for named in copy.values() for account in named.values() if account is not None]
        told = [_told(account) for account in known]
        if told == self._kept:
            return
        lines = [
            {"id": str(one.id), "provider": one.provider, "sealed": self._vault.seal(said, one.id, one.provider)}
            for one, said in zip(known, told, strict=True)
        ]
        try:
            self._write(json.dumps(lines))
        except OSError as error:
            logger.warning("the accounts cannot be kept on disk", error=type(error).__name__)
        else:
            self._kept = told

    def recall(self) -> dict[str, dict[str, Account | None]] | None:
        """The accounts as they were kept last; None where there is nothing that can be read."""
        try:
            lines = json.loads(self._path.read_text())
            accounts = [self._account(line) for line in lines]
        except (OSError, ValueError, KeyError, TypeError, FixConfiguration):
            return None
        found: dict[str, dict[str, Account | None]] = {}
        for account in accounts:
            found.setdefault(account.provider, {})[account.name] = account
        return found

    def _write(self, text: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        unfinished.replace(self._path)

    def _account(self, line: Mapping[str, Any]) -> Account:
        account_id, provider = UUID(line["id"]), line["provider"]
        said = self._vault.open(line["sealed"], account_id, provider)
        return Account(
            id=account_id,
            provider=provider,
            name=said["name"],
            webhook_secrets=tuple(said["webhook_secrets"]),
            settings=said["settings"],
            allowed_ips=tuple(said["allowed_ips"]),
            is_active=said["is_active"],
            # what follows is nothing to a receiver
            api_url="",
            secrets={},
            rate_limits=(),
            full_sync_at=time(),
            incremental_every=timedelta(),
            next_full_at=None,
            next_incremental_at=None,
            blocked_until=None,
            health=None,
        )


def _told(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "webhook_secrets": list(account.webhook_secrets),
        "settings": dict(account.settings),
        "allowed_ips": list(account.allowed_ips),
        "is_active": account.is_active,
    }
