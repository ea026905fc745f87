"""`calltrack credentials`: the keys that accounts' credentials are sealed with."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import Connection

from calltrack.accounts import rotation
from calltrack.cli.connection import database, servers, vault
from calltrack.config import KEYS_FILE, settings
from calltrack.db import audit
from calltrack.db.session import engine
from calltrack.embedded import keys as key_file
from calltrack.errors import FixConfiguration


@click.group()
def credentials() -> None:
    """Keys that accounts' credentials are sealed with: list, rotate, add and drop.

    The keys are those of CALLTRACK_SECRET_KEYS, or of the key file in CALLTRACK_HOME where that is not set. The first
    one seals, all of them open.
    """


@credentials.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one key a line.")
def list_(as_json: bool) -> None:
    """Show all keys, by their ids, and how many accounts need each; exit code 1 where one is missing."""
    with database() as conn:
        found = rotation.keys(conn, vault())
    if as_json:
        for key in found:
            click.echo(json.dumps({"key": key.id, "role": key.role, "accounts": list(key.accounts)}))
    else:
        table = Table("key", "role", Column("accounts", justify="right"), box=None)
        for key in found:
            table.add_row(key.id, key.role, str(len(key.accounts)))
        Console(markup=False, highlight=False).print(table)
    if lost := [key for key in found if key.role == "missing"]:
        for key in lost:
            click.echo(f"Key {key.id!r} is needed by {', '.join(key.accounts)}, and is not given.", err=True)
        sys.exit(1)


@credentials.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be sealed anew, and whether it opens.")
@click.option("--retire", metavar="KEY_ID", help="Afterwards say whether this key can be left out.")
@click.option("--force", is_flag=True, help="Do not ask the workers whether they have the new key.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def rotate(dry_run: bool, retire: str | None, force: bool, as_json: bool) -> None:
    """Seal all credentials with the first key, account by account, while the system runs.

    Stopped halfway, it goes on there when it is started again.
    """
    with servers():
        if not (dry_run or force):
            _need_key_everywhere(vault().sealing)
        resealed, faults = _rotate(dry_run)
        with engine().connect() as conn:
            left = sum(len(key.accounts) for key in rotation.keys(conn, vault()) if key.role != "seals")
            if retire and not dry_run:
                rotation.refuse_in_use(conn, vault(), retire)
    done = "to be sealed" if dry_run else "sealed"
    click.echo(f"Accounts {done} with key {vault().sealing!r}: {resealed}. With another one now: {left}.", err=as_json)
    if retire and not dry_run:
        click.echo(_retired(retire), err=as_json)
    if as_json:
        click.echo(json.dumps({"key": vault().sealing, "resealed": resealed, "left": left, "failed": faults}))
    if faults:
        sys.exit(1)


@credentials.command("add-key")
@click.argument("key_id", required=False)
def add_key(key_id: str | None) -> None:
    """Put a new key in front of the key file; then `calltrack credentials rotate`."""
    with database() as conn:
        _need_key_file()
        chosen = key_id or _next_id(conn)
        key_file.add(settings().home, chosen)
        audit.record(conn, "key.added", f"key {chosen}")
    click.echo(f"Key {chosen!r} seals from now on. Next: calltrack credentials rotate")


@credentials.command("drop-key")
@click.argument("key_id")
def drop_key(key_id: str) -> None:
    """Take a key out of the key file, unless an account still needs it. Backups made until now need it, too."""
    with database() as conn:
        _need_key_file()
        rotation.refuse_in_use(conn, vault(), key_id)
        key_file.drop(settings().home, key_id)
        audit.record(conn, "key.dropped", f"key {key_id}")
    click.echo(f"Key {key_id!r} is dropped.")


def _need_key_everywhere(key_id: str) -> None:
    """A worker that lacks the key could not open an account any more."""
    from tasks import workers_without  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    if lacking := workers_without(key_id):
        raise FixConfiguration(
            f"{', '.join(lacking)} and perhaps other processes do not have key {key_id!r} yet: restart all with "
            "today's CALLTRACK_SECRET_KEYS first."
        )


def _rotate(dry_run: bool) -> tuple[int, int]:
    """How many accounts were sealed anew, and how many could not be."""
    resealed = faults = 0
    for one in rotation.rotate(engine(), vault(), dry_run=dry_run):
        click.echo(f"{one.account}: {one.fault or f'key {one.before!r} → {vault().sealing!r}'}", err=True)
        resealed += one.fault is None
        faults += one.fault is not None
    return resealed, faults


def _retired(key_id: str) -> str:
    place = "take it out of CALLTRACK_SECRET_KEYS" if _keys_are_set() else f"`calltrack credentials drop-key {key_id}`"
    return f"No account needs key {key_id!r}: {place}, and keep it elsewhere as long as backups made until now."


def _keys_are_set() -> bool:
    return bool(settings().environ.get("CALLTRACK_SECRET_KEYS"))


def _need_key_file() -> None:
    if _keys_are_set():
        raise FixConfiguration(
            "The keys are those of CALLTRACK_SECRET_KEYS, not of a key file: change them there (`new-id:secret,` in "
            "front, and restart everything), then run `calltrack credentials rotate`."
        )
    if not (settings().home / KEYS_FILE).exists():
        raise FixConfiguration("There is no key file yet: `calltrack up` makes one.")


def _next_id(conn: Connection) -> str:
    """k2 after k1. An id that any account has ever been sealed with must not come again with another secret."""
    ids = [key.id for key in rotation.keys(conn, vault())]
    ids += [row["subject"].removeprefix("key ") for row in audit.entries(conn, action="key.", most=1000)]
    taken = [int(key_id[1:]) for key_id in ids if key_id.startswith("k") and key_id[1:].isdecimal()]
    return f"k{max(taken, default=0) + 1}"
