"""Where the embedded servers' files and programs are, and whom they run as."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from calltrack.embedded import binaries
from calltrack.embedded.account import Account, service_account
from calltrack.errors import FixConfiguration

#: ours, for root only: where `home` or `.venv` lies in a folder that the servers' account cannot enter
SHARED = Path("/var/lib/calltrack")


@dataclass(frozen=True)
class Place:
    #: None: ourselves
    account: Account | None
    #: holds the servers' folders; belongs to the account
    data: Path

    @cached_property
    def postgres_bin(self) -> Path:
        found = binaries.postgres_bin()
        if self.account is None or self.account.can_run(found / "initdb"):
            return found
        return binaries.copy_postgres(shared_folder())

    @cached_property
    def valkey_server(self) -> Path:
        found = binaries.valkey_server()
        if self.account is None or self.account.can_run(found):
            return found
        return binaries.copy_valkey(shared_folder())


def find_place(home: Path, home_id: str) -> Place:
    """Make the folder for the servers' files: in `home`, or, where their account could not get there, in SHARED.

    No mode of any folder that is not ours is changed for it.
    """
    inside = home / "data"
    account = service_account(inside)
    if account is None:
        inside.mkdir(mode=0o700, exist_ok=True)
        return Place(None, _usable(inside))
    outside = SHARED / hashlib.sha256(f"{home} {home_id}".encode()).hexdigest()[:16]
    if not outside.exists() and account.can_enter(home):
        return Place(account, _given(inside, account))
    shared_folder()
    return Place(service_account(outside), _given(outside, account))


def shared_folder() -> Path:
    """SHARED, which every account may enter."""
    if not SHARED.is_dir():
        SHARED.mkdir(parents=True)
        SHARED.chmod(0o755)
    return SHARED


def _given(data: Path, account: Account) -> Path:
    data.mkdir(mode=0o700, exist_ok=True)
    if data.stat().st_uid != account.uid:
        account.owns(data)
    return data


def _usable(data: Path) -> Path:
    if not os.access(data, os.W_OK | os.X_OK):
        raise FixConfiguration(
            f"{data} belongs to somebody else (was this started by root before?): set CALLTRACK_HOME."
        )
    return data
