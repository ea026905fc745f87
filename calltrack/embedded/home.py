"""`CALLTRACK_HOME`: the folder, and the small files in it that are nobody else's business."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from calltrack.config import KEYS_FILE
from calltrack.errors import FixConfiguration

MEMORY_FILE = "embedded.json"
#: what the embedded servers remember between starts: {"id": …, "Postgres": {"port": …, "password": …}, "Valkey": {…}}
Memory = dict[str, Any]
LARGEST_LOG = 10_000_000


def make_home(home: Path) -> None:
    """Make the folder, if it is not there. Root's can be passed through, as its servers run as another user."""
    for folder in [*reversed(home.parents), home]:
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


@contextmanager
def usable(home: Path) -> Iterator[None]:
    """A block that says in a sentence what of the folder cannot be read or written, or that the disk is full."""
    try:
        yield
    except OSError as error:
        what, why = error.filename or home, error.strerror or error
        raise FixConfiguration(f"{what} cannot be used ({why}): mend it, or set CALLTRACK_HOME.") from None


def make_keys(home: Path) -> None:
    """Make a key to encrypt credentials with."""
    write_private(home / KEYS_FILE, f"k1:{secrets.token_urlsafe(32)}\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; whoever reads it sees all of the old text or all of the new."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(file)
    unfinished.replace(path)


def recall(home: Path) -> Memory:
    try:
        memory: Memory = json.loads((home / MEMORY_FILE).read_text())
    except FileNotFoundError:
        return {"id": secrets.token_hex(8)}
    except (OSError, ValueError):
        raise FixConfiguration(f"{home / MEMORY_FILE} cannot be read: check that it is yours and whole.") from None
    return memory


def remember(home: Path, memory: Memory) -> None:
    write_private(home / MEMORY_FILE, json.dumps(memory, indent=2) + "\n")


def log_path(home: Path, name: str) -> Path:
    return home / "logs" / f"{name}.log"


def open_log(path: Path) -> IO[bytes]:
    """A log, at its end. One that grew large is begun anew."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.unlink()
    log = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    log.seek(0, os.SEEK_END)
    return log
