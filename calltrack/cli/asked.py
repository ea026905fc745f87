"""The account that a command asks, and how answers are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from calltrack.cli.chosen import chosen
from calltrack.cli.connection import database, vault
from calltrack.db import accounts
from calltrack.interface import Interface
from calltrack.interface.plain import plain

ACCOUNT = click.argument("account", metavar="PROVIDER[/NAME]")
JSON_LINES = click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")


@contextmanager
def asked(name: str) -> Iterator[Interface]:
    """What can be asked of the account that is meant by `provider/name`, or by its provider. Raises `UnknownDoor`."""
    with database() as connection:
        account = accounts.get(connection, vault(), chosen(connection, name).id)
        connection.rollback()  # a provider may take its time, and no transaction waits for it
        yield Interface(account)


def listed(things: Iterable[Any], columns: Sequence[str], *, as_json: bool) -> None:
    """Print things: one JSON object a line, or a table with these of their fields."""
    found = [plain(thing) for thing in things]
    if as_json:
        for thing in found:
            click.echo(json.dumps(thing, ensure_ascii=False))
        return
    heads = [Column(name.replace("_", " "), overflow="fold") for name in columns]
    table = Table(*heads, box=None)
    for thing in found:
        table.add_row(*(shown(thing[name]) for name in columns))
    Console(markup=False, highlight=False).print(table)


def told(thing: Any, *, as_json: bool) -> None:
    """Print one thing: as JSON on one line, or a line for each field that has a value."""
    found = plain(thing)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    width = max(map(len, found))
    for name, value in found.items():
        if value is not None:
            click.echo(f"{name:>{width}}  {shown(value)}")


def shown(value: Any) -> str:
    """A value as people read it."""
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
