"""A pytest plugin: the suite that every provider gets by existing. It is active only where somebody asks for it.

A package that brings a provider asks for it in its `pyproject.toml`,

    [tool.pytest.ini_options]
    addopts = "-p calltrack.testing --provider acme"

and has one file of tests:

    from calltrack.testing.suite import *

`pytest --update-golden` writes what the mappings give beside the fixtures, and a person reads it. Needs
`calltrack[testing]`: pytest and hypothesis.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from calltrack import registry
from calltrack.testing import habits, hooks, matrix, servers, standins
from calltrack.testing.recorded import File, Golden, Recorded
from calltrack.testing.standins import Kind
from calltrack.testing.system import System
from simulator.habits import ABOUT

#: seconds that a client of the tests waits for the next bytes
READ_TIMEOUT = 0.5
#: habits that are tried where no others are named: a look at each kind
FEW = ("schema_drift", "page_shift", "expiring_cursor", "cut_json")
KINDS: Mapping[str, Callable[[Recorded], list[File]]] = {
    "pages": Recorded.dialects,
    "call_file": Recorded.calls,
    "delivery": Recorded.deliveries,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("calltrack")
    group.addoption("--provider", action="append", metavar="NAME", help="the providers that are tested; else all")
    group.addoption("--update-golden", action="store_true", help="write what the mappings give beside the fixtures")
    group.addoption("--habits", metavar="A,B", help="the bad habits that are tried; `all`; else a few")
    group.addoption("--matrix", metavar="FILE", type=Path, help="write which habits were survived")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("Golden files are written by a person who reads them, never in CI.")
    unknown = set(config.getoption("--provider") or ()) - set(registry.names())
    if unknown:
        faults = [fault.message for fault in registry.faults()]
        known = ", ".join(registry.names())
        raise pytest.UsageError(
            " ".join([f"There is no provider {', '.join(sorted(unknown))}; there are {known}.", *faults])
        )
    if config.getoption("--matrix") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Matrix(config))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per provider, per folder of pages, per recorded call, per recorded delivery: whatever it asks for."""
    if not metafunc.function.__module__.startswith(f"{__name__}."):
        return
    if "cell" in metafunc.fixturenames:
        kinds = _kinds(metafunc.config)
        found = habits.cells(kinds, _providers(metafunc.config), _habits(metafunc.config, kinds))
        metafunc.parametrize("cell", found or habits.no_cells(), ids=str if found else None)
        return
    every = [Recorded(registry.get(name)) for name in _providers(metafunc.config)]
    for kind, files in KINDS.items():
        if kind in metafunc.fixturenames:
            cases = [(recorded, file) for recorded in every for file in files(recorded)]
            metafunc.parametrize(("recorded", kind), cases, ids=str)
            return
    if "recorded" in metafunc.fixturenames:
        metafunc.parametrize("recorded", every, ids=str)


def _providers(config: pytest.Config) -> Sequence[str]:
    return config.getoption("--provider") or registry.names()


def _kinds(config: pytest.Config) -> dict[str, Kind]:
    """The stand-ins there are; a package's own go before the simulator's."""
    kinds = standins.simulated()
    for brought in config.hook.pytest_calltrack_stand_ins():
        kinds.update(brought or {})
    return kinds


def _habits(config: pytest.Config, kinds: Mapping[str, Kind]) -> Sequence[str]:
    asked = config.getoption("--habits")
    known = standins.habits(kinds)
    if asked == "all":
        return known
    if asked is None:
        # A package's own stand-in has few of them: all are tried.
        simulated = standins.simulated()
        own = {name for provider in _providers(config) if provider not in simulated for name in _of(kinds, provider)}
        return [name for name in known if name in FEW or name in own]
    wanted: list[str] = asked.split(",")
    if unknown := set(wanted) - set(known):
        raise pytest.UsageError(f"There is no habit {', '.join(sorted(unknown))}; there are {', '.join(known)}.")
    return wanted


def _of(kinds: Mapping[str, Kind], provider: str) -> Sequence[str]:
    return kinds[provider].habits if provider in kinds else ()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a value with the JSON in a file."""

    def compare(path: Path, value: Any) -> None:
        if request.config.getoption("--update-golden"):
            path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        assert path.exists(), f"{path.name} is missing: write it with `pytest --update-golden`, and read it"
        assert value == json.loads(path.read_text())

    return compare


@pytest.fixture(scope="session")
def calltrack_servers() -> Iterator[servers.Running]:
    """Calltrack's own Postgres and Valkey. A project may have a fixture of this name that gives others."""
    with servers.running() as there:
        yield there


@pytest.fixture
def calltrack_system(
    calltrack_servers: servers.Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[System]:
    """A system without Celery: an empty database, in which accounts are added and synced."""
    with servers.environment(calltrack_servers, tmp_path, monkeypatch, READ_TIMEOUT) as engine:
        yield System(engine)


class Matrix:
    """Collects which habits were survived, also from other processes, and writes the page at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: dict[tuple[str, str], bool] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == "cell" and isinstance(value, list | tuple):
                provider, habit = value
                survived = self._outcomes.get((provider, habit), True)
                self._outcomes[provider, habit] = survived and report.outcome == "passed"

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):  # somebody ended it before its time
            return
        kinds = _kinds(self._config)
        providers = {name: kinds[name].habits for name in _providers(self._config) if name in kinds}
        had = {habit for habits in providers.values() for habit in habits}
        shown = [habit for habit in _habits(self._config, kinds) if habit in had]
        page = matrix.page(self._outcomes, shown, providers, ABOUT)
        self._config.getoption("--matrix").write_text(page)
