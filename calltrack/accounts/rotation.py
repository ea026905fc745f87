"""Replacing the key that credentials are sealed with, while the system runs.

One account after another, each in a transaction of its own: stopped at any point, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from calltrack.db import accounts, audit
from calltrack.db.credentials import Vault
from calltrack.errors import FixConfiguration, UnknownDoor


@dataclass(frozen=True)
class Key:
    """A key, and the accounts whose credentials it alone opens."""

    id: str
    #: "seals", "opens", or "missing": accounts need it, and it is not among the keys
    role: str
    accounts: tuple[str, ...]


@dataclass(frozen=True)
class Resealed:
    """An account, and the id of the key that its credentials were sealed with before; `fault`: why they still are."""

    account: str
    before: str
    fault: str | None = None


def keys(conn: Connection, vault: Vault) -> list[Key]:
    """All keys that there are, in their order, then those that accounts need besides."""
    users = _users(conn)
    missing = [key_id for key_id in users if not vault.knows(key_id)]
    return [
        Key(key_id, _role(key_id, vault), tuple(users.get(key_id, ())))
        for key_id in dict.fromkeys([*vault.key_ids, *missing])
    ]


def missing(conn: Connection, vault: Vault) -> str | None:
    """One sentence naming the accounts that no key opens; None: there is none."""
    lost = [key for key in keys(conn, vault) if key.role == "missing"]
    if not lost:
        return None
    told = "; ".join(f"{', '.join(key.accounts)} need {key.id!r}" for key in lost)
    return (
        f"Credentials are sealed with keys that are not given: {told}. Add the keys to CALLTRACK_SECRET_KEYS again, "
        "or enter the credentials again with `calltrack accounts update`."
    )


def rotate(engine: Engine, vault: Vault, *, dry_run: bool = False) -> Iterator[Resealed]:
    """Seal with the first key what another one sealed; `dry_run`: only see whether each opens."""
    with engine.connect() as conn:
        stale = [row for row in accounts.sealed_with(conn) if row[2] != vault.sealing]
    for account_id, label, before in stale:
        try:
            with engine.begin() as conn:
                if dry_run:
                    accounts.get(conn, vault, account_id)
                elif accounts.reseal(conn, vault, account_id):  # else somebody was quicker
                    audit.record(conn, "credentials.rotated", label, old=before, new=vault.sealing)
        except UnknownDoor:
            continue  # removed meanwhile
        except FixConfiguration as error:
            yield Resealed(label, before, error.message)
        else:
            yield Resealed(label, before)


def refuse_in_use(conn: Connection, vault: Vault, key_id: str) -> None:
    """Raise `FixConfiguration` where the key must not be dropped: it seals, or accounts need it."""
    if key_id == vault.sealing:
        raise FixConfiguration(f"Key {key_id!r} is the one that seals: put another one before it, then rotate.")
    if users := _users(conn).get(key_id):
        raise FixConfiguration(
            f"Key {key_id!r} is still in use: {', '.join(users)} need it. Run `calltrack credentials rotate` first."
        )


def _users(conn: Connection) -> Mapping[str, list[str]]:
    users: dict[str, list[str]] = {}
    for _, label, key_id in accounts.sealed_with(conn):
        users.setdefault(key_id, []).append(label)
    return users


def _role(key_id: str, vault: Vault) -> str:
    if key_id == vault.sealing:
        return "seals"
    return "opens" if key_id in vault.key_ids else "missing"
