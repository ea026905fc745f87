"""The Flask application: doors, and the parts behind them put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flask import Flask, Response
from sqlalchemy import Engine
from werkzeug.exceptions import HTTPException

from calltrack import config, registry
from calltrack.config import Settings
from calltrack.db.credentials import Vault
from calltrack.errors import FixConfiguration
from calltrack.sync.spool import Spool
from webhooks.accounts import Accounts, Loader
from webhooks.answers import fault, http_error
from webhooks.bell import Bell
from webhooks.chores import Chores
from webhooks.connections import Connections, quick_engine
from webhooks.draining import Draining
from webhooks.health import Health
from webhooks.keepsake import Keepsake
from webhooks.receiver import MAX_BODY, Receiver
from webhooks.refusals import Refusals
from webhooks.source import Sources

#: seconds between two messages about deliveries of the same provider
BELL_INTERVAL = 0.25
#: seconds: a message that is late is not worth waiting for, the sweeper looks anyway
PUBLISH_TIMEOUTS = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}


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
    interval: float = BELL_INTERVAL,
) -> Flask:
    """The receiver. `publish` says to the workers that deliveries of a provider wait: by default a Celery message.

    `interval`: seconds between two of them. Raises `FixConfiguration` where settings are missing or wrong.
    """
    found = settings or config.settings()
    found.needs("database_url", "secret_keys")
    assert found.database_url is not None
    connections = Connections(found.database_url)
    engine = quick_engine(found.database_url)
    chores = Chores(interval)
    bell = Bell(publish or _celery(found), chores.wake)
    refusals = Refusals(connections.run, chores.start)
    chores.add(bell.strike, refusals.write_sometimes)
    vault = Vault(found.secret_keys, found.home)
    spool = Spool(found.spool_dir, found.spool_limit) if found.spool_dir else None
    if spool is not None:
        chores.add(Draining(spool, connections, bell).now_and_then)
    keepsake = Keepsake(found.spool_dir / "accounts", vault) if found.spool_dir else None
    accounts = Accounts(Loader(engine, vault, keepsake))

    app = Flask("webhooks", static_folder=None)
    app.url_map.strict_slashes = False
    app.extensions["receiver"] = Parts(connections, engine, refusals, chores)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, fault)
    sources = Sources(found.trusted_proxies)
    _open_doors(app, Receiver(accounts, connections, bell, refusals, max_body(found), spool, sources).receive)
    health = Health(connections, bell)
    app.add_url_rule("/healthz", view_func=health.alive)
    app.add_url_rule("/readyz", view_func=health.ready)
    return app


def max_body(found: Settings) -> int:
    """`WEBHOOK_MAX_BYTES`: the largest body that is taken, in bytes."""
    text = found.environ.get("WEBHOOK_MAX_BYTES", str(MAX_BODY))
    if not text.isdecimal() or not int(text):
        raise FixConfiguration(f"WEBHOOK_MAX_BYTES must be a number of bytes above 0, not {text!r}.")
    return int(text)


def _open_doors(app: Flask, receive: Callable[..., Response]) -> None:
    _open(app, "/webhooks/<provider>", receive)
    _open(app, "/webhooks/<provider>/<account>", receive)
    _open(app, "/webhooks/<provider>/<account>/<secret>", receive)
    for name in registry.names():
        for path, event in registry.get(name).webhook.paths.items():
            _open(app, path, partial(receive, provider=name, event=event))
            _open(app, f"{path}/<account>", partial(receive, provider=name, event=event))


def _open(app: Flask, path: str, view: Callable[..., Response]) -> None:
    """A door for every method that a provider lets its users choose: some only call a URL, and have no body."""
    app.add_url_rule(path, endpoint=path, view_func=view, methods=["GET", "POST", "PUT", "PATCH"])


def _celery(found: Settings) -> Callable[[str], None]:
    """Publishes through Celery, and gives up on the broker sooner than a worker would."""
    from tasks import hints  # noqa: PLC0415 - Celery is only needed, and its settings only read, where it is used
    from tasks.app import app as celery  # noqa: PLC0415

    found.needs("broker_url")
    celery.conf.broker_transport_options = {**celery.conf.broker_transport_options, **PUBLISH_TIMEOUTS}
    return hints.deliveries
