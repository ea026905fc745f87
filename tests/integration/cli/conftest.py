from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from calltrack import cli
from calltrack.errors import CalltrackError

Run = Callable[..., Result]


@pytest.fixture
def calltrack(database, broker, settings_env, monkeypatch) -> Run:
    """Runs `calltrack ARGUMENTS` here, on clean servers. A fault's sentence is in `stderr`, as in a terminal."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, typed: str | None = None) -> Result:
        result = CliRunner().invoke(cli.calltrack, arguments, input=typed)
        if isinstance(result.exception, CalltrackError):
            result.stderr_bytes += result.exception.message.encode()
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
