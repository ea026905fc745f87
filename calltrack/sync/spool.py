"""The spool: where deliveries are kept on disk while Postgres cannot take them.

A delivery is a file: written, synced, renamed into place, and the folder synced, before anybody is told that it was
accepted. When Postgres is back the files are landed in the order of their arrival, each removed after its commit.
Landing the same delivery twice does nothing, so a process may be killed anywhere between.
"""

from __future__ import annotations

import fcntl
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import orjson
from psycopg import DataError, IntegrityError

from calltrack import log
from calltrack.config import settings
from calltrack.db.session import driver, engine
from calltrack.sync.inbox import Delivery, land

#: files landed in one go
BATCH = 500
SUFFIX = ".delivery"
#: seconds for which a count of the spool's bytes is good
FRESH = 1.0

logger = log.get(__name__)


class SpoolFull(OSError):
    """The spool has no room for another delivery."""


class Spool:
    """The deliveries that wait on disk, shared by all processes that use the same folder."""

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit`: bytes that may lie there at once."""
        self._folder = folder
        self._limit = limit
        self._bytes, self._counted_at = 0, float("-inf")

    def keep(self, delivery: Delivery) -> str:
        """Keep a delivery safely, and return its name. Raises `OSError` where that cannot be done."""
        received = delivery.received_at or datetime.now(UTC)
        content = _dumped(replace(delivery, received_at=received))
        if self._used() + len(content) > self._limit:
            raise SpoolFull
        name = f"{received:%Y%m%dT%H%M%S%f}-{uuid4().hex}"
        self._make()
        unfinished = self._folder / f"{name}.new"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._folder / f"{name}{SUFFIX}")
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._sync()
        self._bytes += len(content)
        return f"spool-{name}"

    def drain(self, land: Callable[[Delivery], object]) -> set[str]:
        """Land what lies there, oldest first, and return the providers it came from.

        One process does it at a time. What cannot be read, or belongs to no account any more, is set aside. Errors of
        `land` that may pass end the draining: the file stays.
        """
        providers: set[str] = set()
        with self._alone() as alone:
            for path in self._waiting()[:BATCH] if alone else ():
                delivery = self._read(path)
                if delivery is None:
                    continue
                try:
                    land(delivery)
                except (IntegrityError, DataError) as error:
                    self._set_aside(path, type(error).__name__)
                    continue
                path.unlink()
                providers.add(delivery.provider)
        if providers:
            self._counted_at = float("-inf")
            logger.info("spooled deliveries were landed", providers=sorted(providers))
        return providers

    def __len__(self) -> int:
        """How many deliveries wait."""
        return len(self._waiting())

    def _waiting(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def _read(self, path: Path) -> Delivery | None:
        try:
            return _loaded(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            self._set_aside(path, "unreadable")
            return None

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = self._folder / "set-aside"
        aside.mkdir(mode=0o700, exist_ok=True)
        path.rename(aside / path.name)
        logger.error("a spooled delivery was set aside", file=path.name, reason=reason)

    def _used(self) -> int:
        if time.monotonic() - self._counted_at > FRESH:
            self._bytes = sum(path.stat().st_size for path in self._waiting() if path.exists())
            self._counted_at = time.monotonic()
        return self._bytes

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _sync(self) -> None:
        """What the folder says is on disk, too."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether nobody else drains at this moment. The kernel lets go of the lock however the process ends."""
        if not self._folder.is_dir() or not self._waiting():
            yield False
            return
        with (self._folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


def _dumped(delivery: Delivery) -> bytes:
    return orjson.dumps(
        {**asdict(delivery), "body": b64encode(delivery.body).decode(), "headers": dict(delivery.headers)}
    )


def _loaded(content: bytes) -> Delivery:
    found = orjson.loads(content)
    return Delivery(
        **{
            **found,
            "account_id": UUID(found["account_id"]),
            "body": b64decode(found["body"]),
            "received_at": datetime.fromisoformat(found["received_at"]),
        }
    )


def drain_here() -> set[str]:
    """Land what was spooled on this machine, where the receivers that did it are down. Returns the providers."""
    folder = settings().spool_dir
    if folder is None:
        return set()
    spool = Spool(folder, settings().spool_limit)

    def land_one(delivery: Delivery) -> None:
        with engine().begin() as connection:
            land(driver(connection), delivery)

    return spool.drain(land_one) if len(spool) else set()
