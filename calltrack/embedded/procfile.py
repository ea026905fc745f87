"""The Procfile: what the system consists of, for this supervisor and for any other."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from honcho.environ import parse_procfile

import calltrack
from calltrack.config import Settings
from calltrack.errors import FixConfiguration

#: where the top-level packages and the Procfile are. The processes run here: no other `tasks.py` is in their way
ROOT = Path(calltrack.__file__).parents[1]


def commands(path: Path = ROOT / "Procfile") -> dict[str, str]:
    """Name → command, in the order of the file."""
    try:
        text = path.read_text()
    except OSError as error:
        raise FixConfiguration(
            f"{path} cannot be read ({error.strerror}): run calltrack from a checkout, where the Procfile is."
        ) from None
    try:
        found: dict[str, str] = parse_procfile(text).processes
    except AssertionError:
        raise FixConfiguration(f"{path} has two processes of the same name: rename one.") from None
    return dict(found)


def environ(found: Settings) -> dict[str, str]:
    """The environment of the processes: all settings as they were resolved here, and this Python's commands first."""
    here = str(Path(sys.executable).parent)
    return {
        **found.environ,
        **found.variables,
        "PATH": os.pathsep.join([here, found.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }
