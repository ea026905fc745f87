"""`calltrack provider`: bring a provider of your own."""

from __future__ import annotations

import re
from pathlib import Path

import click

from calltrack import registry
from calltrack.errors import FixConfiguration

TEMPLATE = Path(__file__).parents[1] / "testing" / "template"
#: the made-up provider of the template, as it is written there
MADE_UP = "acme"


@click.group()
def provider() -> None:
    """Write a package that brings another provider."""


@provider.command()
@click.argument("name")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default=".", help="Where to; by default, here."
)
def new(name: str, into: Path) -> None:
    """Write the folder calltrack-NAME: a package that works, with a made-up API, and says what to change.

    NAME is small letters and digits. It stands in URLs and in the database, and never changes.
    """
    folder = into / f"calltrack-{name}"
    _refuse(name, folder)
    for path in sorted(TEMPLATE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            written = folder / _named(str(path.relative_to(TEMPLATE)), name)
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(_named(path.read_text(), name))
    click.echo(f"Written to {folder}. Next:")
    click.echo(f"  cd {folder} && pip install --editable '.[test]' && pytest")
    click.echo("Then change what says CHANGE, with docs/adding-a-provider.md beside it.")


def _refuse(name: str, folder: Path) -> None:
    if not registry.NAME.fullmatch(name):
        raise FixConfiguration(f"{name!r} is no name for a provider: write small letters and digits, as acme2.")
    if name in registry.names():
        raise FixConfiguration(f"There is a provider {name!r} already: choose another name.")
    if folder.exists():
        raise FixConfiguration(f"{folder} is there already: remove it, or write elsewhere with --into.")


def _named(text: str, name: str) -> str:
    """The template's text, with this provider's name for the made-up one."""
    spellings = {MADE_UP: name, MADE_UP.title(): name.title(), MADE_UP.upper(): name.upper()}
    return re.sub("|".join(spellings), lambda found: spellings[found[0]], text)
