"""Settings, from the environment and `.env`. All that is missing or wrong is reported at once.

Where `DATABASE_URL` or `REDIS_URL` is not set, the embedded servers under `CALLTRACK_HOME` are meant: while they run, their
addresses stand in `CALLTRACK_HOME/servers.json`, and the key file in `CALLTRACK_HOME/secret_keys`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dotenv import dotenv_values

from calltrack.errors import FixConfiguration

SERVERS_FILE = "servers.json"
KEYS_FILE = "secret_keys"


@dataclass(frozen=True)
class Settings:
    """The resolved settings. URLs are whole, with passwords: print them through `calltrack env`."""

    #: libpq form, as psycopg and psql take it; None: no server named and none embedded running
    database_url: str | None
    redis_url: str | None
    #: where Celery's messages go: `CELERY_BROKER_URL`, by default `redis_url`
    broker_url: str | None
    #: key id → secret; the first one encrypts, all of them decrypt
    secret_keys: Mapping[str, str]
    #: where embedded servers, keys and state files live: absolute
    home: Path
    #: the receiver's port
    port: int
    flower_port: int
    #: "json" or "console"
    log_format: str
    #: the environment the settings were read from, `.env` included
    environ: Mapping[str, str]

    def needs(self, *names: str) -> None:
        """Raise `FixConfiguration`, naming every one of these settings that has no value, and what to do about it."""
        missing = [name for name in names if not getattr(self, name)]
        if missing:
            raise FixConfiguration(" ".join(WHAT_TO_DO[name] for name in missing))


WHAT_TO_DO = {
    "database_url": "No database: start the embedded one with `calltrack up`, or set DATABASE_URL.",
    "redis_url": "No Redis: start the embedded one with `calltrack up`, or set REDIS_URL.",
    "broker_url": "No broker: start the embedded one with `calltrack up`, or set REDIS_URL or CELERY_BROKER_URL.",
    "secret_keys": "No key to encrypt credentials with: set CALLTRACK_SECRET_KEYS to `id:secret` (32 characters or more; "
    "make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`).",
}


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return load(os.environ)


def load(environ: Mapping[str, str], directory: Path | None = None) -> Settings:
    """Read the settings; a real environment variable wins over `.env` in `directory` (by default the current one)."""
    dotenv = dotenv_values((directory or Path.cwd()) / ".env")
    env = {key: value for key, value in {**dotenv, **environ}.items() if value}
    faults: list[str] = []
    home = Path(env.get("CALLTRACK_HOME", ".calltrack")).absolute()
    embedded = _embedded(home)
    redis_url = env.get("REDIS_URL") or embedded.get("REDIS_URL")
    found = Settings(
        database_url=env.get("DATABASE_URL") or embedded.get("DATABASE_URL"),
        redis_url=redis_url,
        broker_url=env.get("CELERY_BROKER_URL") or redis_url,
        secret_keys=_keys(env.get("CALLTRACK_SECRET_KEYS") or _key_file(home), faults),
        home=home,
        port=_port(env, "PORT", 8000, faults),
        flower_port=_port(env, "FLOWER_PORT", 5555, faults),
        log_format=env.get("CALLTRACK_LOG", "").lower(),
        environ=env,
    )
    if faults:
        raise FixConfiguration(" ".join(faults))
    return found


def _embedded(home: Path) -> dict[str, str]:
    """The addresses of the embedded servers, while they run."""
    try:
        servers: dict[str, str] = json.loads((home / SERVERS_FILE).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise FixConfiguration(f"{home / SERVERS_FILE} cannot be read: check that it is yours, or remove it.") from None
    return servers


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
        if not colon or not key_id.isidentifier() or len(secret) < 32:
            faults.append("CALLTRACK_SECRET_KEYS must be a list of `id:secret`, each secret of 32 characters or more.")
            break
        keys[key_id] = secret
    return keys


def _port(env: Mapping[str, str], name: str, default: int, faults: list[str]) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) > 65535:
        faults.append(f"{name} must be a port number, not {text!r}.")
        return default
    return int(text)
