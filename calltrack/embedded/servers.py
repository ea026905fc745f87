"""The embedded servers of one home: a Postgres where there is no DATABASE_URL, a Valkey where there is no REDIS_URL."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Self

from calltrack import config
from calltrack.config import SERVERS_LOCK, Settings
from calltrack.embedded.home import make_home, make_keys, usable
from calltrack.embedded.keeper import Keeper
from calltrack.embedded.lock import Lock
from calltrack.embedded.postgres import Postgres
from calltrack.embedded.server import PATIENCE, Server
from calltrack.embedded.valkey import Valkey
from calltrack.errors import FixConfiguration

Options = Mapping[str, str]


class Servers:
    """Runs what the settings leave open, or joins what another process runs in this home.

    As a context manager it stops what it started. Meanwhile `settings` are whole, as are `calltrack.config.settings()`
    in this process, and a server that dies is started again, on its port and with its data.
    """

    def __init__(
        self,
        found: Settings,
        *,
        postgres: Options | None = None,
        valkey: Options | None = None,
        alone: bool = False,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`postgres`, `valkey`: settings in the server's own words. `report`: takes lines about what happens.

        `alone`: for who means to stay: join nobody, for they may soon stop, but wait until they have.
        """
        self.settings = found
        self._options: dict[type[Server], Options] = {Postgres: postgres or {}, Valkey: valkey or {}}
        self._alone = alone
        self._report = report
        self._lock = Lock(found.home / SERVERS_LOCK)
        self._keeper: Keeper | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Raises `FixConfiguration`: what is in the way, in a sentence."""
        environ = self.settings.environ
        wanted = {kind: options for kind, options in self._options.items() if not environ.get(kind.variable)}
        if not wanted:
            return
        with usable(self.settings.home):
            make_home(self.settings.home)
            if not self._join([kind.variable for kind in wanted]):
                self._run(wanted)
        self._look_again()

    def stop(self) -> None:
        """Stop what was started here; what was joined goes on."""
        if self._keeper:
            self._keeper.stop()
            self._keeper = None
            self._lock.release()
            self._look_again()

    def _run(self, wanted: Mapping[type[Server], Options]) -> None:
        keeper = Keeper(self.settings.home, wanted, self._report)
        try:
            if Postgres in wanted and not self.settings.secret_keys:
                make_keys(self.settings.home)
            keeper.start()
        except BaseException:
            self._lock.release()
            raise
        self._keeper = keeper

    def _join(self, variables: list[str]) -> bool:
        """Whether another process runs them. False: nobody does, and now the lock is ours."""
        deadline = time.monotonic() + PATIENCE
        while not self._lock.take():
            if not self._alone and (addresses := config.embedded_servers(self.settings.home)):
                self._check(addresses, variables)
                return True
            if time.monotonic() > deadline:
                raise FixConfiguration(
                    f"Another command (process {self._lock.holder}) has the embedded servers of {self.settings.home}: "
                    "try again when it has ended."
                )
        return False

    def _check(self, addresses: Mapping[str, str], variables: list[str]) -> None:
        missing = " and ".join(variable for variable in variables if variable not in addresses)
        if missing:
            raise FixConfiguration(
                f"What runs in {self.settings.home} (process {self._lock.holder}) has {missing} set: "
                f"set the same here, or set CALLTRACK_HOME to another folder."
            )

    def _look_again(self) -> None:
        config.settings.cache_clear()
        self.settings = config.resolve(self.settings.environ)
