"""The embedded Postgres."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import psycopg

from calltrack.embedded.home import MEMORY_FILE, open_log, write_private
from calltrack.embedded.process import end, spawn
from calltrack.embedded.server import ENVIRON, GRACE, Server
from calltrack.errors import FixConfiguration

NAME = "calltrack"
#: Postgres' own collation: the same on every system, whatever the system's C library knows
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # a socket's path could be too long for the system, and nobody needs it
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # without "Failing row contains (…)"
    "log_error_verbosity": "terse",
}
#: the line of `postmaster.pid`, counted from 0, that says whether it takes connections
STATUS_LINE = 7


class Postgres(Server):
    name = "Postgres"
    variable = "DATABASE_URL"
    #: "fast": sessions are ended, and all is written
    stop_signal = signal.SIGINT

    @property
    def url(self) -> str:
        return self._url(NAME)

    def prepare(self) -> None:
        """`initdb`, beside the place where the files belong: what stands there is whole."""
        if self.folder.exists():
            return
        unfinished, password = self.place.data / "postgres.new", self.place.data / "password.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        write_private(password, self.password)
        if self.place.account:
            self.place.account.owns(password)
        self._initdb(unfinished, password)
        password.unlink()
        unfinished.rename(self.folder)

    def command(self) -> list[str]:
        settings = {**SETTINGS, "port": str(self.port), **self.options}
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return [str(self.place.postgres_bin / "postgres"), "-D", str(self.folder), *options]

    def leftover(self) -> int | None:
        lines = self._pid_file()
        return int(lines[0]) if lines and lines[0].isdecimal() else None

    def is_ours(self, command_line: str) -> bool:
        return f" -D {self.folder} " in command_line

    def disown(self) -> None:
        """Postgres takes any living process with its old number for another Postgres."""
        (self.folder / "postmaster.pid").unlink()

    def is_ready(self) -> bool:
        lines = self._pid_file()
        # A Postgres that was killed left the file, and was ready.
        ready = len(lines) > STATUS_LINE and lines[0] == str(self.pid) and lines[STATUS_LINE].strip() == "ready"
        if ready:
            self._make_database()
        return ready

    def _pid_file(self) -> list[str]:
        try:
            return (self.folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _make_database(self) -> None:
        try:
            with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
                if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME]).fetchall():
                    connection.execute(f"CREATE DATABASE {NAME}")
        except psycopg.OperationalError as error:
            raise FixConfiguration(
                f"The embedded Postgres does not let us in ({str(error).strip().splitlines()[-1]}): put back the "
                f"{self.home / MEMORY_FILE} that goes with {self.folder}, or remove both and begin anew."
            ) from None

    def _initdb(self, folder: Path, password: Path) -> None:
        command = [str(self.place.postgres_bin / "initdb"), "-D", str(folder), f"--username={NAME}", *LOCALE]
        with open_log(self.log) as log:
            log_size = log.tell()
            process = spawn(
                [*command, "--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"],
                environ=ENVIRON,
                output=log,
                account=self.place.account,
            )
        try:
            failed = process.wait() != 0
        finally:
            end(process, signal.SIGTERM, GRACE)
        if failed:
            raise self.fault(log_size)

    def _url(self, database: str) -> str:
        return f"postgresql://{NAME}:{self.password}@127.0.0.1:{self.port}/{database}"
