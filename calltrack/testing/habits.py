"""Each bad habit of a provider is survived: by a real sync over HTTP, into a real Postgres, with every id looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any, NamedTuple

import pytest

from calltrack import interface
from calltrack.testing.scenarios import STOPS
from calltrack.testing.standins import Kind, StandIn
from calltrack.testing.system import System

Truths = Mapping[str, Mapping[str, Any]]

#: steps of work after which a good while passes at the provider, in the middle of reading
STEPS = 6
#: seconds, as the provider has them
WHILE = 45
#: seconds of ours in which all must be there, and between two looks
PATIENCE = 12.0
LOOK = 0.5
#: what is registered where a subscription is lost
RECEIVER, EVENT = "https://calls.example.com", "call_ended"


class Cell(NamedTuple):
    """A provider and a bad habit of its stand-in."""

    provider: str
    habit: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.provider}-{self.habit}"


def test_a_bad_habit_is_survived(
    cell: Cell, calltrack_system: System, record_property: Callable[[str, object], None]
) -> None:
    record_property("cell", [cell.provider, cell.habit])
    with cell.kind(cell.habit) as stand_in:
        calltrack_system.add_account(cell.provider, stand_in.url, stand_in.settings, stand_in.rate_limits)
        if cell.habit == "subscription_lost":
            _lose_the_subscription(cell.provider, stand_in)
        _let_time_pass_while_reading(calltrack_system, stand_in)
        _read_all(calltrack_system, cell, stand_in)
        _read_on(calltrack_system, cell.provider, stand_in)
        assert not stand_in.complaints()


def _lose_the_subscription(provider: str, stand_in: StandIn) -> None:
    """It is seen that the subscription is lost, and it can be registered again."""
    account = interface.of(provider)
    for _ in range(2):
        account.register(RECEIVER, EVENT)
        assert any(one.active is not False for one in account.webhooks())
        stand_in.pass_time(WHILE)
        assert not any(one.active is not False for one in account.webhooks()), "what is lost counts as registered"


def _let_time_pass_while_reading(system: System, stand_in: StandIn) -> None:
    steps = count(1)

    def meanwhile() -> None:
        if next(steps) == STEPS:
            stand_in.pass_time(WHILE)

    system.meanwhile = meanwhile


def _read_all(system: System, cell: Cell, stand_in: StandIn) -> None:
    """A first full sync: what was there when it began is there when it ends; or it stops, and says why."""
    before = _by_id(stand_in.truths())
    run = system.sync(cell.provider)
    reason = STOPS.get(cell.habit)
    if reason and run["state"] == "failed":
        assert run["reason"] == reason
        stand_in.behave()
        run = system.sync(cell.provider)
    _check_run(run)
    assert run["rejected"] == stand_in.unusable()
    missing = before.keys() - _stored(system, cell.provider).keys()
    assert not missing, f"{len(missing)} of {len(before)} calls missing after the full sync, such as {min(missing)}"


def _read_on(system: System, provider: str, stand_in: StandIn) -> None:
    """Incremental syncs: in the end every call is there once, as it is at the provider now, and nothing else is."""
    stand_in.pass_time(WHILE)
    ends = time.monotonic() + PATIENCE
    while found := _after_another_sync(system, provider, stand_in):
        assert time.monotonic() < ends, "; ".join(found)
        time.sleep(LOOK)


def _after_another_sync(system: System, provider: str, stand_in: StandIn) -> list[str]:
    wanted = _by_id(stand_in.truths())
    _check_run(system.sync(provider, "incremental"))
    return list(_findings(wanted, _by_id(stand_in.truths()), _stored(system, provider)))


def _check_run(run: Mapping[Any, Any]) -> None:
    assert run["state"] == "completed", f"the run stopped: {run['reason']}: {run['error']}"
    counted = ("inserted", "updated", "unchanged", "duplicates", "rejected", "excluded")
    assert run["fetched"] == sum(run[name] for name in counted), "the run's books do not add up"


def _stored(system: System, provider: str) -> Truths:
    rows = system.rows("SELECT * FROM calls WHERE provider = :provider", provider=provider)
    stored = _by_id(rows)
    assert len(stored) == len(rows), "a call is there twice"
    return stored


def _by_id(calls: Sequence[Mapping[str, Any]]) -> Truths:
    return {str(call["external_id"]): call for call in calls}


def _findings(wanted: Truths, there: Truths, stored: Truths) -> Iterator[str]:
    if missing := wanted.keys() - stored.keys():
        yield f"{len(missing)} of {len(wanted)} calls missing, such as {min(missing)}"
    if strange := stored.keys() - there.keys():
        yield f"{len(strange)} calls from nowhere, such as {min(strange)}"
    for external_id in sorted(wanted.keys() & stored.keys()):
        if differing := list(_differences(wanted[external_id], stored[external_id])):
            yield f"call {external_id} has other content: {', '.join(differing)}"
            return


def _differences(truth: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(truth.keys() & row.keys()):
        if _as_stored(truth[name], row[name]) != row[name]:
            yield f"{name} is {row[name]!r} and not {truth[name]!r}"


def _as_stored(wanted: Any, stored: Any) -> Any:
    """What is wanted, in the type of what is stored."""
    if wanted is not None and isinstance(stored, Decimal):
        return Decimal(str(wanted))
    if wanted is not None and isinstance(stored, datetime):
        return datetime.fromisoformat(str(wanted))
    return wanted


def cells(kinds: Mapping[str, Kind], providers: Sequence[str], habits: Sequence[str]) -> list[Cell]:
    """The habits that these providers' stand-ins can have."""
    return [
        Cell(provider, habit, kinds[provider])
        for habit in habits
        for provider in providers
        if provider in kinds and habit in kinds[provider].habits
    ]


def no_cells() -> list[Any]:
    """What stands there where no provider has a stand-in."""
    why = "no stand-in: docs/adding-a-provider.md says how to bring one"
    return [pytest.param(None, marks=pytest.mark.skip(reason=why), id="none")]
