"""The embedded Valkey: a Redis by another name."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from calltrack.embedded.server import Server

SETTINGS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    # Celery's messages are no cache
    "maxmemory-policy": "noeviction",
}


class Valkey(Server):
    name = "Valkey"
    variable = "REDIS_URL"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            if self.place.account:
                self.place.account.owns(self.folder)

    def command(self) -> list[str]:
        return [str(self.place.valkey_server), "-"]

    def configuration(self) -> str:
        """Read from standard input, as everybody on the machine can see a command line."""
        ours = {"port": self.port, "requirepass": self.password, "dir": self.folder, "pidfile": self._pid_file}
        settings = {**SETTINGS, **ours, **self.options}
        return "".join(f"{name} {json.dumps(str(value), ensure_ascii=False)}\n" for name, value in settings.items())

    def leftover(self) -> int | None:
        try:
            return int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def is_ours(self, command_line: str) -> bool:
        """Valkey shows its address where its arguments were."""
        return f"valkey-server 127.0.0.1:{self.port} " in f"{command_line} "

    def is_ready(self) -> bool:
        try:
            with redis.Redis(port=self.port, password=self.password, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    @property
    def _pid_file(self) -> Path:
        return self.folder / "valkey.pid"
