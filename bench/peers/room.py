"""Where the peers work: a virtual environment, a database beside calltrack's, and a folder for what they keep."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from calltrack import config
from calltrack.embedded.procfile import ROOT

VENV = ROOT / ".venv-peers"
PYTHON = VENV / "bin" / "python"
#: make's mark: everything is installed
READY = VENV / "ready"
WANTED = ROOT / "bench" / "requirements-peers.in"
#: what that comes to, down to the hashes
LOCKED = WANTED.with_suffix(".txt")
DATABASE = "peers"


@dataclass(frozen=True)
class Peer:
    """A program of this folder, which takes the database's URL, the provider's and the size of pages."""

    name: str
    command: Sequence[str]
    #: where its table `calls` is
    schema: str


PEERS = (
    Peer("dlt", ("bench.peers.by_dlt", "defaults"), "dlt_defaults"),
    Peer("dlt tuned", ("bench.peers.by_dlt", "tuned"), "dlt_tuned"),
    Peer("Singer", ("bench.peers.by_singer",), "singer"),
)


@dataclass(frozen=True)
class Room:
    """An empty database and an empty folder."""

    url: str
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of ours: no settings, and no telemetry, which would go out to the network."""
        home = str(self.folder)
        return {
            "PATH": os.defpath,
            "HOME": home,
            "PYTHONPATH": str(ROOT),
            "DLT_DATA_DIR": home,
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }

    def calls(self, peer: Peer) -> list[tuple[Any, ...]]:
        """What it stored: id, status, revenue, the moment of the last change."""
        query = sql.SQL("SELECT uuid, status, revenue::numeric, updated_at::timestamptz FROM {}.calls")
        with psycopg.connect(self.url, options="-c timezone=UTC") as connection:
            return connection.execute(query.format(sql.Identifier(peer.schema))).fetchall()

    def vacuum(self) -> None:
        """As `stack.vacuum`, in this database."""
        _on(self.url, "VACUUM (ANALYZE)")


@contextmanager
def vacant() -> Iterator[Room]:
    """On the server that `config.settings()` names, until the end of the block."""
    server = config.settings().database_url or ""
    url = make_url(server).set(drivername="postgresql", database=DATABASE).render_as_string(hide_password=False)
    with tempfile.TemporaryDirectory(prefix="calltrack-peers-") as folder:
        _on(server, f"CREATE DATABASE {DATABASE}")
        try:
            yield Room(url, Path(folder))
        finally:
            _on(server, f"DROP DATABASE {DATABASE} WITH (FORCE)")


def _on(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)


def versions() -> str:
    """Of what is compared."""
    return ", ".join(" ".join(found) for found in re.findall(r"^([\w-]+).*==(\S+)$", WANTED.read_text(), re.MULTILINE))
