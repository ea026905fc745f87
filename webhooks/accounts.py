"""The accounts that deliveries come to, kept in memory for some seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from calltrack import log
from calltrack.db import accounts
from calltrack.db.accounts import DEFAULT, Account
from calltrack.db.credentials import Vault
from calltrack.errors import FixConfiguration, UnknownDoor
from calltrack.seldom import Seldom
from webhooks.answers import NotLanded
from webhooks.keepsake import Keepsake

logger = log.get(__name__)

#: provider → account name → the account; None: its credentials do not open
Copy = Mapping[str, Mapping[str, Account | None]]

#: seconds a copy is good for
FRESH = 5.0
#: seconds a copy is good for where it would refuse a delivery: a new account, or a new secret, is known that soon
FRESH_TO_REFUSE = 1.0


class Accounts:
    """A copy of all accounts. While Postgres is away the last copy stays in use.

    All of them, and not one by one as deliveries ask for them: a flood of made-up names then costs no query each.
    """

    def __init__(self, load: Callable[[], Copy], clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._loading = threading.Lock()
        self._copy: Copy | None = None
        self._tried_at = float("-inf")

    def find(self, provider: str, name: str | None, fresh: float = FRESH) -> Account:
        """The active account of this name; without a name the provider's only one, else `default`.

        `fresh`: how old, in seconds, the copy may be. Raises `UnknownDoor`, and `NotLanded` while nothing can be known.
        """
        try:
            return _choose(self._recent(fresh).get(provider, {}), name)
        except UnknownDoor:
            if fresh <= FRESH_TO_REFUSE:
                raise
        return self.find(provider, name, FRESH_TO_REFUSE)

    def _recent(self, fresh: float) -> Copy:
        if self._copy is None or self._clock() - self._tried_at >= fresh:
            self._reload(fresh)
        if self._copy is None:
            raise NotLanded
        return self._copy

    def _reload(self, fresh: float) -> None:
        """One thread reloads. The others go on with the copy there is; who has none, or would refuse by it, waits."""
        if not self._loading.acquire(blocking=self._copy is None or fresh <= FRESH_TO_REFUSE):
            return
        try:
            if self._clock() - self._tried_at < min(fresh, FRESH_TO_REFUSE):
                return  # another thread has just tried
            self._copy = self._load()
        except DBAPIError as error:
            logger.warning("the accounts could not be read", error=type(error.orig).__name__)
        finally:
            self._tried_at = self._clock()
            self._loading.release()


def _choose(named: Mapping[str, Account | None], name: str | None) -> Account:
    only = next(iter(named)) if name is None and len(named) == 1 else None
    wanted = name or only or DEFAULT
    if wanted not in named:
        raise UnknownDoor
    account = named[wanted]
    if account is None:
        raise NotLanded
    if not account.is_active:
        raise UnknownDoor
    return account


class Loader:
    """Reads all accounts from Postgres. One whose credentials do not open closes its own door only."""

    def __init__(self, engine: Engine, vault: Vault, keepsake: Keepsake | None = None) -> None:
        """`keepsake`: where they are read from by a process that has not reached Postgres since it started."""
        self._engine = engine
        self._vault = vault
        self._keepsake = keepsake
        self._read_once = False
        self._seldom = Seldom()

    def __call__(self) -> Copy:
        try:
            found = self._read()
        except DBAPIError:
            kept = self._keepsake.recall() if self._keepsake and not self._read_once else None
            if kept is None:
                raise
            return kept
        self._read_once = True
        if self._keepsake is not None:
            self._keepsake.keep(found)
        return found

    def _read(self) -> Copy:
        found: dict[str, dict[str, Account | None]] = {}
        with self._engine.connect() as connection:
            for row in accounts.overview(connection):
                with suppress(UnknownDoor):  # removed meanwhile
                    found.setdefault(row.provider_type, {})[row.name] = self._opened(connection, row.id)
        return found

    def _opened(self, connection: Connection, account_id: UUID) -> Account | None:
        try:
            return accounts.get(connection, self._vault, account_id)
        except FixConfiguration as error:
            if self._seldom.due(str(account_id)):
                logger.warning("an account takes no deliveries", fault=error.message)
            return None
