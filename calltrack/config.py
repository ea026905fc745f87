"""Settings, from the environment and `.env`. All that is missing or wrong is reported at once.

Where `DATABASE_URL` or `REDIS_URL` is not set, the embedded servers under `CALLTRACK_HOME` are meant: while they run,
their addresses stand in `CALLTRACK_HOME/servers.json`, and the key file in `CALLTRACK_HOME/secret_keys`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from calltrack.errors import FixConfiguration
from calltrack.networks import Network, network

SERVERS_FILE = "servers.json"
#: held by the process that runs the embedded servers, as long as it lives: so a left-over SERVERS_FILE is known
SERVERS_LOCK = "servers.lock"
KEYS_FILE = "secret_keys"
#: k1, 2026-11, …
KEY_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
SHORTEST_SECRET = 32
LAST_PORT = 65535
#: CALLTRACK_SPOOL_DIR: no spool
OFF = "off"
#: CALLTRACK_RECHECK_AFTER
RECHECK_AFTER = "1h,6h,1d,3d,7d,30d"
#: what may be removed when it is old → the setting that says when
RETENTION = {
    "pages": "CALLTRACK_RETENTION_PAGES",
    "deliveries": "CALLTRACK_RETENTION_DELIVERIES",
    "events": "CALLTRACK_RETENTION_EVENTS",
}
SHORTEST_RETENTION = timedelta(days=1)
SPAN = re.compile(r"(\d{1,7})([smhd])")
#: in seconds
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
#: bytes: a GiB
SPOOL_LIMIT = 2**30


@dataclass(frozen=True)
class Settings:
    """The resolved settings. URLs are whole, with passwords: print them through `calltrack env`."""

    #: libpq form, as psycopg and psql take it; None: no server named and none embedded running
    database_url: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)
    #: where Celery's messages go: `CELERY_BROKER_URL`, by default `redis_url`
    broker_url: str | None = field(repr=False)
    #: key id → secret; the first one encrypts, all of them decrypt
    secret_keys: Mapping[str, str] = field(repr=False)
    #: where embedded servers, keys and state files live: absolute
    home: Path
    #: the receiver's port
    port: int
    flower_port: int
    #: where deliveries are kept while Postgres is away; None: they are answered with 503
    spool_dir: Path | None
    #: bytes that may lie there
    spool_limit: int
    #: how long after its end a bucket of the ledger is checked again, shortest first
    recheck_after: tuple[timedelta, ...]
    #: "pages", "deliveries", "events" → how long they are kept; what is not there is kept for ever
    retention: Mapping[str, timedelta]
    #: proxies whose `X-Forwarded-For` is believed
    trusted_proxies: tuple[Network, ...]
    #: "json", "console", or "": by where the log goes
    log_format: str
    #: the environment the settings were read from, `.env` included
    environ: Mapping[str, str] = field(repr=False)

    def needs(self, *names: str) -> None:
        """Raise `FixConfiguration`, naming every one of these settings that has no value, and what to do about it."""
        missing = [name for name in names if not getattr(self, name)]
        if missing:
            raise FixConfiguration(" ".join(WHAT_TO_DO[name] for name in missing))

    @property
    def variables(self) -> dict[str, str]:
        """The settings by their names in the environment ("" for no value): all that another process needs of them."""
        return {
            "DATABASE_URL": self.database_url or "",
            "REDIS_URL": self.redis_url or "",
            "CELERY_BROKER_URL": self.broker_url or "",
            "CALLTRACK_SECRET_KEYS": ",".join(f"{key_id}:{secret}" for key_id, secret in self.secret_keys.items()),
            "CALLTRACK_HOME": str(self.home),
            "PORT": str(self.port),
            "FLOWER_PORT": str(self.flower_port),
            "CALLTRACK_SPOOL_DIR": str(self.spool_dir or OFF),
            "CALLTRACK_SPOOL_LIMIT": str(self.spool_limit),
            "CALLTRACK_RECHECK_AFTER": ",".join(f"{after.total_seconds():.0f}s" for after in self.recheck_after),
            **{name: _written(self.retention.get(kind)) for kind, name in RETENTION.items()},
            "CALLTRACK_TRUSTED_PROXIES": ",".join(map(str, self.trusted_proxies)),
        }


WHAT_TO_DO = {
    "database_url": "No database: start the embedded one with `calltrack up`, or set DATABASE_URL.",
    "redis_url": "No Redis: start the embedded one with `calltrack up`, or set REDIS_URL.",
    "broker_url": "No broker: start the embedded one with `calltrack up`, or set REDIS_URL or CELERY_BROKER_URL.",
    "secret_keys": "No key to encrypt credentials with: set CALLTRACK_SECRET_KEYS to `id:secret` (32 characters or "
    "more; make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`).",
}


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return load(os.environ)


def load(environ: Mapping[str, str], directory: Path | None = None) -> Settings:
    """Read the settings; a real environment variable wins over `.env` in `directory` (by default the current one)."""
    dotenv = dotenv_values((directory or Path.cwd()) / ".env")
    return resolve({key: value for key, value in {**dotenv, **environ}.items() if value})


def resolve(env: Mapping[str, str]) -> Settings:
    """Read the settings from these variables alone, and from the state files of the home that they name."""
    faults: list[str] = []
    home = Path(env.get("CALLTRACK_HOME", ".calltrack")).expanduser().absolute()
    embedded = embedded_servers(home)
    redis_url = _url(env, "REDIS_URL", REDIS_SCHEMES, faults) or embedded.get("REDIS_URL")
    found = Settings(
        database_url=_database_url(env, faults) or embedded.get("DATABASE_URL"),
        redis_url=redis_url,
        broker_url=env.get("CELERY_BROKER_URL") or redis_url,
        secret_keys=_keys(env.get("CALLTRACK_SECRET_KEYS") or _key_file(home), faults),
        home=home,
        port=_port(env, "PORT", 8000, faults),
        flower_port=_port(env, "FLOWER_PORT", 5555, faults),
        spool_dir=_spool_dir(env, home),
        spool_limit=_spool_limit(env, faults),
        recheck_after=_recheck_after(env, faults),
        retention=_retention(env, faults),
        trusted_proxies=_trusted_proxies(env, faults),
        log_format=_log_format(env, faults),
        environ=env,
    )
    if faults:
        raise FixConfiguration(" ".join(faults))
    return found


def embedded_servers(home: Path) -> dict[str, Any]:
    """The addresses of the embedded servers, by variable, and the `pid` of who runs them. Empty: nobody does."""
    try:
        servers: dict[str, Any] = json.loads((home / SERVERS_FILE).read_text())
        return servers if is_locked(home / SERVERS_LOCK) else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise FixConfiguration(f"{home / SERVERS_FILE} cannot be read: check that it is yours, or remove it.") from None


def is_locked(path: Path) -> bool:
    """Whether a living process holds this lock: the kernel lets go of it when its process ends, however it ends."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def keys_on_disk(home: Path) -> dict[str, str]:
    """The keys in the key file as it is now: key id → secret, the sealing one first. Empty: there is no such file."""
    faults: list[str] = []
    keys = _keys(_key_file(home), faults)
    if faults:
        raise FixConfiguration(f"{home / KEYS_FILE} is spoilt. {faults[0]}")
    return keys


def _key_file(home: Path) -> str:
    try:
        return (home / KEYS_FILE).read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError:
        raise FixConfiguration(f"{home / KEYS_FILE} cannot be read: check that it is yours.") from None


def _keys(text: str, faults: list[str]) -> dict[str, str]:
    """`id:secret,id:secret` → {id: secret}, in order."""
    keys: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key_id, colon, secret = part.partition(":")
        if not colon or not KEY_ID.fullmatch(key_id) or len(secret) < SHORTEST_SECRET:
            faults.append("CALLTRACK_SECRET_KEYS must be a list of `id:secret`, each secret of 32 characters or more.")
            break
        if key_id in keys:
            faults.append(f"CALLTRACK_SECRET_KEYS names the key {key_id!r} twice: give each secret an id of its own.")
            break
        keys[key_id] = secret
    return keys


POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
REDIS_SCHEMES = ("redis", "rediss")


def _database_url(env: Mapping[str, str], faults: list[str]) -> str | None:
    """SQLAlchemy's spelling of the scheme is taken too, and made the one that psql understands."""
    url = _url(env, "DATABASE_URL", POSTGRES_SCHEMES, faults)
    return url and "postgresql:" + url.partition(":")[2]


def _url(env: Mapping[str, str], name: str, schemes: tuple[str, ...], faults: list[str]) -> str | None:
    """The URL as it stands. A wrong one is not quoted: it may hold a password."""
    url = env.get(name)
    if url and url.partition("://")[0] not in schemes:
        faults.append(f"{name} must start with {schemes[0]}://.")
    return url


def _port(env: Mapping[str, str], name: str, default: int, faults: list[str]) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= LAST_PORT:
        faults.append(f"{name} must be a port number, not {text!r}.")
        return default
    return int(text)


def _spool_dir(env: Mapping[str, str], home: Path) -> Path | None:
    """On by default: most telephony providers send a webhook once and never again."""
    text = env.get("CALLTRACK_SPOOL_DIR") or str(home / "spool")
    return None if text.lower() == OFF else Path(text).expanduser().absolute()


def _spool_limit(env: Mapping[str, str], faults: list[str]) -> int:
    text = env.get("CALLTRACK_SPOOL_LIMIT", str(SPOOL_LIMIT))
    if not text.isdecimal():
        faults.append(f"CALLTRACK_SPOOL_LIMIT must be a number of bytes, not {text!r}.")
        return SPOOL_LIMIT
    return int(text)


def _recheck_after(env: Mapping[str, str], faults: list[str]) -> tuple[timedelta, ...]:
    """`1h,6h,1d`."""
    parts = [piece.strip().lower() for piece in (env.get("CALLTRACK_RECHECK_AFTER") or RECHECK_AFTER).split(",")]
    found = [_span(part) for part in parts]
    if None in found:
        faults.append(f"CALLTRACK_RECHECK_AFTER must be a list of times, as {RECHECK_AFTER}.")
    return tuple(sorted(span for span in found if span is not None))


def _retention(env: Mapping[str, str], faults: list[str]) -> dict[str, timedelta]:
    """`90d` each. What has no setting is kept."""
    found = {}
    for kind, name in RETENTION.items():
        text = env.get(name, "").strip().lower()
        if not text:
            continue
        kept = _span(text) or timedelta(0)
        if kept < SHORTEST_RETENTION:
            faults.append(f"{name} must be a time of a day or more, as 90d, not {text!r}.")
        found[kind] = kept
    return found


def _span(text: str) -> timedelta | None:
    """`90d`. None: that is no length of time."""
    match = SPAN.fullmatch(text)
    return timedelta(seconds=int(match[1]) * UNITS[match[2]]) if match else None


def _written(span: timedelta | None) -> str:
    return f"{span.total_seconds():.0f}s" if span else ""


def _trusted_proxies(env: Mapping[str, str], faults: list[str]) -> tuple[Network, ...]:
    """`10.0.0.0/8,2001:db8::7`."""
    text = env.get("CALLTRACK_TRUSTED_PROXIES", "")
    try:
        return tuple(map(network, text.replace(",", " ").split()))
    except ValueError:
        faults.append(f"CALLTRACK_TRUSTED_PROXIES must be a list of networks, as 10.0.0.0/8,127.0.0.1, not {text!r}.")
        return ()


def _log_format(env: Mapping[str, str], faults: list[str]) -> str:
    text = env.get("CALLTRACK_LOG", "").lower()
    if text not in ("", "json", "console"):
        faults.append(f"CALLTRACK_LOG must be json or console, not {text!r}.")
    return text
