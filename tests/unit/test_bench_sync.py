"""What the sync benchmark believes before it tells a time, and how it tells it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import orjson
import pytest

from bench import figures, stored
from bench.figures import Load
from bench.pages import CHANGED, EVERY, FIRST, Listing, Provider, Values
from bench.peers import room
from bench.records import make
from bench.usage import Usage

NUMBER = 3 * EVERY
MADE = make(NUMBER, 30.0, datetime(2026, 11, 1, tzinfo=UTC))


@pytest.fixture
def listing() -> Listing:
    return Listing(MADE)


@pytest.fixture
def provider(listing: Listing) -> Provider:
    changes = {one: [Values(*state) for state in states] for one, states in orjson.loads(listing.changes).items()}
    return Provider("http://127.0.0.1:1", 1, frozenset(orjson.loads(listing.ids)), changes)


def rows(listing: Listing, state: int) -> list[tuple]:
    """As a peer would have stored them."""
    listing.state = state
    calls = [one["call"] for one in orjson.loads(listing.page(0, NUMBER))]
    return [(one["uuid"], one["status"], one["revenue"], datetime.fromisoformat(one["updated_at"])) for one in calls]


def test_one_in_a_hundred_changes_and_nothing_else(listing, provider):
    before, after = rows(listing, FIRST), rows(listing, CHANGED)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {old[0] for old, _ in changed} == set(provider.changes)
    assert len(changed) == NUMBER / EVERY
    assert all(old[0] == new[0] and old[1] != new[1] and old[2] != new[2] and old[3] < new[3] for old, new in changed)


def test_a_page_is_a_cut(listing):
    page = orjson.loads(listing.page(100, 103))
    assert [one["call"]["uuid"] for one in page] == [one.id for one in MADE[100:103]]
    assert listing.page(5, 5) == b"[]"


@pytest.mark.parametrize("state", [FIRST, CHANGED])
def test_what_the_provider_has_is_believed(listing, provider, state):
    stored.check(provider, state, rows(listing, state), stored.AS_SAID)


def test_calltracks_words_are_believed(listing, provider):
    ours = [(one, stored.OURS.get(status, status), *others) for one, status, *others in rows(listing, CHANGED)]
    stored.check(provider, CHANGED, ours, stored.OURS)


def test_a_call_that_is_missing_ends_it(listing, provider):
    with pytest.raises(SystemExit, match="1 calls are missing, 0 too many"):
        stored.check(provider, FIRST, rows(listing, FIRST)[1:], stored.AS_SAID)


def test_a_call_that_is_there_twice_ends_it(listing, provider):
    twice = rows(listing, FIRST)
    with pytest.raises(SystemExit, match="0 calls are missing, 1 too many"):
        stored.check(provider, FIRST, [*twice, twice[7]], stored.AS_SAID)


def test_a_call_that_nobody_has_ends_it(listing, provider):
    _, *others = rows(listing, FIRST)
    with pytest.raises(SystemExit, match="1 calls are missing, 1 too many"):
        stored.check(provider, FIRST, [("another", *others[0][1:]), *others], stored.AS_SAID)


def test_changes_that_did_not_arrive_end_it(listing, provider):
    stale = f"{len(provider.changes)} of {len(provider.changes)} calls do not say"
    with pytest.raises(SystemExit, match=stale):
        stored.check(provider, CHANGED, rows(listing, FIRST), stored.AS_SAID)


def load(rate: float) -> Load:
    taken = {"loop": Usage(2.0, 50.0, 0.0), "Postgres": Usage(1.0, 150.0, 0.0), "the provider": Usage(9.0, 900.0, 0.0)}
    return Load(50_000, rate, taken)


def ways(*names: str) -> dict[str, list[Load]]:
    return {f"{who}, {one}": [load(100.0), load(400.0), load(200.0)] for who in names for one in figures.SITUATIONS}


def line(tables: list[str], name: str) -> list[str]:
    found = next(text for text in tables[0].splitlines() if text.startswith(f"| {name}"))
    return [cell.strip() for cell in found.split("|")[2:-1]]


def test_medians_beside_the_loop_and_dlt():
    loads = ways("loop", "pipeline", "dlt")
    loads["dlt, first load"] = [load(50.0)]
    tables = figures.tables({100: loads})
    assert line(tables, "calltrack ") == ["200", "1.00", "4.00", "6.0", "50"]
    assert line(tables, "dlt, its defaults") == ["50", "0.25", "1.00", "6.0", "50"]


def test_without_peers_there_is_nothing_to_compare_with():
    tables = figures.tables({100: ways("loop", "pipeline")})
    assert line(tables, "calltrack ") == ["200", "1.00", "–", "6.0", "50"]
    assert "dlt, its" not in tables[0]


def test_what_is_installed_is_what_the_page_says():
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)", room.LOCKED.read_text(), re.MULTILINE))
    told = dict(one.split() for one in room.versions().split(", "))
    assert set(told) == {"dlt", "meltanolabs-target-postgres", "singer-sdk"}
    assert told.items() <= pinned.items()
