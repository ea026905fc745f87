"""The Flask application: doors, and the parts behind them put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flask import Flask
from sqlalchemy import Engine
from werkzeug.exceptions import HTTPException

from calltrack import config, registry
from calltrack.config import Settings
from calltrack.db.credentials import Vault
from webhooks.accounts import Accounts, Loader
from webhooks.answers import fault, http_error
from webhooks.bell import Bell
from webhooks.chores import Chores
from webhooks.connections import Connections, quick_engine
from webhooks.health import Health
from webhooks.receiver import MAX_BODY, Receiver
from webhooks.refusals import Refusals

#: seconds between two messages about deliveries of the same provider
BELL_INTERVAL = 0.1


@dataclass(frozen=True)
class Parts:
    """What an application holds on to: `app.extensions["receiver"]`."""

    connections: Connections
    engine: Engine
    refusals: Refusals
    chores: Chores

    def close(self) -> None:
        """Ring and write a last time, and let Postgres go."""
        self.chores.stop()
        self.refusals.write()
        self.connections.close()
        self.engine.dispose()


def create_app(
    settings: Settings | None = None,
    *,
    publish: Callable[[str], None] | None = None,
    max_body: int = MAX_BODY,
    interval: float = BELL_INTERVAL,
) -> Flask:
    """The receiver. `publish` says to the workers that deliveries of a provider wait: by default a Celery message.

    `max_body`: bytes. Raises `FixConfiguration` where settings are missing.
    """
    found = settings or config.settings()
    found.needs("database_url", "secret_keys")
    assert found.database_url is not None
    connections = Connections(found.database_url)
    engine = quick_engine(found.database_url)
    refusals = Refusals(connections.run)
    bell = Bell(publish or _celery(found), lambda: chores.wake())
    chores = Chores([bell.strike, refusals.write_sometimes], interval)
    accounts = Accounts(Loader(engine, Vault(found.secret_keys)))

    app = Flask("webhooks", static_folder=None)
    app.url_map.strict_slashes = False
    app.extensions["receiver"] = Parts(connections, engine, refusals, chores)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, fault)
    _open_doors(app, Receiver(accounts, connections, bell, refusals, max_body))
    _health(app, Health(connections, bell))
    return app


def _celery(found: Settings) -> Callable[[str], None]:
    from tasks import hints

    found.needs("broker_url")
    return hints.deliveries
