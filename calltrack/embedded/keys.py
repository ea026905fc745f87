"""The key file in `CALLTRACK_HOME`: stands in for CALLTRACK_SECRET_KEYS where that is not set."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calltrack.config import KEY_ID, KEYS_FILE, keys_on_disk
from calltrack.embedded.home import usable, write_private
from calltrack.embedded.lock import Lock
from calltrack.errors import FixConfiguration, TryLater

LOCK = "secret_keys.lock"


def add(home: Path, key_id: str) -> None:
    """Put a new key first: from now on it seals."""
    if not KEY_ID.fullmatch(key_id):
        raise FixConfiguration(f"A key's id has letters, digits, `_`, `.` and `-` only: {key_id!r} has others.")
    with _changing(home) as keys:
        if key_id in keys:
            raise FixConfiguration(f"There is a key {key_id!r} already: give the new one another id.")
        _write(home, {key_id: secrets.token_urlsafe(32), **keys})


def drop(home: Path, key_id: str) -> None:
    """Take a key out, which is not the first."""
    with _changing(home) as keys:
        if key_id not in list(keys)[1:]:
            raise FixConfiguration(f"{home / KEYS_FILE} has no key {key_id!r} that could be dropped.")
        _write(home, {other: secret for other, secret in keys.items() if other != key_id})


@contextmanager
def _changing(home: Path) -> Iterator[dict[str, str]]:
    """The keys, while nobody else changes them: a key that is lost is lost with all that it sealed."""
    lock = Lock(home / LOCK)
    with usable(home):
        taken = lock.take()
    if not taken:
        raise TryLater(f"Process {lock.holder} is changing the keys: try again when it has ended.")
    try:
        with usable(home):
            yield keys_on_disk(home)
    finally:
        lock.release()


def _write(home: Path, keys: dict[str, str]) -> None:
    write_private(home / KEYS_FILE, ",".join(f"{key_id}:{secret}" for key_id, secret in keys.items()) + "\n")
