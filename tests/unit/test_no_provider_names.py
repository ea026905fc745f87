"""No provider is named outside of its folder: what they differ in is declared, not programmed."""

import re
from pathlib import Path

import pytest

from calltrack import registry

ROOT = Path(__file__).parents[2]
#: steps of the schema keep the names that they were released with
ALLOWED = {"migrations/versions/006_convoso_enhancements.py", "migrations/versions/007_recovery.py"}
PLACES = ("calltrack", "tasks", "webhooks", "migrations", "celeryconfig.py", "Procfile")


def sources():
    for place in map(ROOT.joinpath, PLACES):
        for path in sorted(place.rglob("*.*") if place.is_dir() else [place]):
            name = str(path.relative_to(ROOT))
            if path.suffix in ("", ".py", ".lua", ".mako") and not name.startswith("calltrack/providers/"):
                yield name, path


@pytest.mark.parametrize("provider", ["convoso", "retreaver", "ringba", "trackdrive"])
def test_no_source_outside_of_its_folder_names_a_provider(provider):
    assert provider in registry.names()
    named = {name for name, path in sources() if re.search(provider, f"{name}\n{path.read_text()}", re.IGNORECASE)}
    assert named <= ALLOWED


def test_the_sources_are_looked_at():
    names = {name for name, _ in sources()}
    assert {"calltrack/sync/merge.py", "calltrack/client/budget.lua", "webhooks/app.py", "Procfile"} <= names
    assert len(names) > 150
