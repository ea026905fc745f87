"""A provider's name stands in its own folder and nowhere else: the rest asks the registry."""

import re
from pathlib import Path

from calltrack import registry

ROOT = Path(__file__).parents[2]
CODE = ("calltrack", "tasks", "webhooks", "migrations", "celeryconfig.py", "Procfile")
BUILT_IN = [name for name in registry.names() if registry.module(name).startswith("calltrack.providers.")]
NAMES = re.compile("|".join(BUILT_IN), re.IGNORECASE)

#: what cannot be otherwise
ALLOWED = {
    "migrations/versions/006_convoso_enhancements.py": "a step's name, which databases have stored",
    "migrations/versions/007_recovery.py": "names the step before it",
}


def test_no_provider_is_named_outside_its_folder():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if NAMES.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_file_is_named_after_a_provider():
    assert not [path for path in _files() if NAMES.search(path.name)]


def test_what_is_allowed_is_there():
    assert all(NAMES.search((ROOT / path).read_text()) for path in ALLOWED)


def _files():
    for place in CODE:
        top = ROOT / place
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            inside = path.relative_to(ROOT)
            own = inside.parts[:2] == ("calltrack", "providers") and len(inside.parts) > 3
            text = path.is_file() and path.suffix != ".pyc"
            if text and not own and str(inside) not in ALLOWED:
                yield path
