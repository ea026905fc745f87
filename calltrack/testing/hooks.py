"""What a package that is tested may tell the plugin."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from calltrack.testing.standins import Kind


@pytest.hookspec
def pytest_calltrack_stand_ins() -> Mapping[str, Kind] | None:
    """The package's own stand-ins, by provider."""
