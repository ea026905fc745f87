"""`calltrack shadow`: calls as they would be, held against calls as they are."""

from __future__ import annotations

import json
from typing import Any

import click

from calltrack.cli.chosen import chosen, label
from calltrack.cli.connection import database
from calltrack.db.session import driver
from calltrack.sync import modes
from calltrack.sync import shadow as library
from calltrack.sync.shadow import Difference


@click.group()
def shadow() -> None:
    """Compare what an account in shadow mode, or a candidate mapper, makes of its calls with what is stored."""


@shadow.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON on stdout.")
def report(name: str, as_json: bool) -> None:
    """Say what would be different, field by field, if the account NAME were live, or its candidate mapper current."""
    with database() as connection:
        account = chosen(connection, name)
        reach = modes.reach(connection, account.id)
        with driver(connection).cursor() as cursor:
            found = library.difference(cursor, reach)
    if as_json:
        click.echo(json.dumps({"account": label(account), "since": _iso(reach.since), **shown(found)}))
    else:
        click.echo(f"{label(account)}, in shadow since {_iso(reach.since)}:")
        click.echo(differences(found))


def differences(found: Difference) -> str:
    """The difference for people, a line each."""
    counts = found.counts
    lines = [
        f"{counts['same']:>10,}  calls are the same",
        f"{counts['different']:>10,}  differ",
        f"{counts['missing']:>10,}  are not stored yet{_such_as(found, 'missing')}",
        f"{counts['untouched']:>10,}  are stored, and nothing is said about them",
    ]
    if counts["rejected"]:
        lines.append(f"{counts['rejected']:>10,}  records cannot become calls")
    fields = sorted(name for name in counts if name.startswith(FIELD))
    lines += [f"{counts[name]:>10,}  differ in {name.removeprefix(FIELD)}{_such_as(found, name)}" for name in fields]
    return "\n".join(lines)


def shown(found: Difference) -> dict[str, Any]:
    """The difference for programs."""
    named = ("same", "different", "missing", "untouched", "rejected")
    return {
        **{name: found.counts[name] for name in named},
        "fields": {key.removeprefix(FIELD): found.counts[key] for key in sorted(found.counts) if key.startswith(FIELD)},
        "examples": {name.removeprefix(FIELD): ids for name, ids in found.examples.items()},
    }


FIELD = "field "


def _such_as(found: Difference, name: str) -> str:
    ids = found.examples.get(name)
    return f", such as {', '.join(ids[:3])}" if ids else ""


def _iso(moment: Any) -> str:
    return str(moment.isoformat(timespec="seconds"))
