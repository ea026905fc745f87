from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from calltrack import registry
from calltrack.client.windows import Window
from calltrack.sync.plan import Axis, Mode, cut, halves, plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENTS = st.timedeltas(timedelta(), timedelta(days=18 * 365)).map(lambda age: NOW - age)


def made(provider, mode, **values):
    declared = registry.get(provider)
    return plan(mode, declared, values.pop("settings", {}), now=NOW, **values)


@given(MOMENTS, MOMENTS)
def test_slices_cover_the_range_without_gap_or_overlap(one, other):
    if one == other:
        return
    window = Window(min(one, other), max(one, other))
    slices = cut(window)
    assert slices[0].until == window.until
    assert slices[-1].since == window.since
    assert all(newer.since == older.until for newer, older in pairwise(slices))
    assert all(part.since < part.until for part in slices)


@given(MOMENTS, MOMENTS)
def test_no_slice_is_longer_than_what_lies_behind_it(one, other):
    """It would be read page after page while the others are through: years in one, the last month in another."""
    slices = cut(Window(min(one, other), max(one, other) + timedelta(days=2)))
    newest, end = slices[0], slices[0].until
    assert newest.until - newest.since <= timedelta(days=2)
    assert all(older.until - older.since <= end - older.until for older in slices[1:])
    assert len(slices) <= 24


@given(MOMENTS, st.timedeltas(timedelta(microseconds=1), timedelta(days=400)))
def test_halving_ends(since, length):
    window = Window(since, since + length)
    parts = halves(window)
    if parts is None:
        assert length <= timedelta(seconds=3)
    else:
        newer, older = parts
        assert (older.since, older.until, newer.until) == (window.since, newer.since, window.until)


def test_a_full_run_reads_all_that_there_is():
    planned = made("convoso", Mode.FULL, synced_until=NOW - timedelta(hours=1))
    assert planned.window == Window(registry.get("convoso").history, NOW)


def test_the_first_incremental_run_reads_everything():
    assert made("retreaver", Mode.INCREMENTAL) == made("retreaver", Mode.FULL)


def test_an_incremental_run_reaches_back_by_the_overlap():
    before = NOW - timedelta(minutes=15)
    by_change = made("retreaver", Mode.INCREMENTAL, synced_until=before)
    by_time = made("convoso", Mode.INCREMENTAL, synced_until=before)
    assert (by_change.axis, by_change.window.since) == (Axis.CHANGED, before - registry.get("retreaver").overlap)
    assert (by_time.axis, by_time.window.since) == (Axis.CREATED, before - registry.get("convoso").overlap)
    assert by_change.slices == (by_change.window,)


def test_a_range_ends_now_at_the_latest():
    since = NOW - timedelta(days=2)
    assert made("convoso", Mode.RANGE, since=since, until=NOW + timedelta(days=9)).window == Window(since, NOW)
    assert made("convoso", Mode.RANGE, since=since).window == Window(since, NOW)


def test_no_slice_is_longer_than_the_provider_allows():
    window = Window(NOW - timedelta(days=400), NOW)
    slices = cut(window, timedelta(days=31))
    assert max(one.until - one.since for one in slices) <= timedelta(days=31)
    assert slices[0].until == window.until
    assert slices[-1].since == window.since
    assert all(newer.since == older.until for newer, older in pairwise(slices))


def test_an_older_slice_is_cut_as_the_day_before():
    """Its pages are then the same, and those with nothing new need not be read."""
    since = NOW - timedelta(days=800)
    today, before = (set(cut(Window(since, NOW - timedelta(hours=hours)))) for hours in (0, 3))
    assert len(today & before) == len(today) - 1
    today, before = (set(cut(Window(since, NOW - timedelta(days=days)), timedelta(days=31))) for days in (0, 1))
    assert len(today & before) > len(today) - 5


def test_an_account_may_say_where_its_history_begins():
    planned = made("convoso", Mode.FULL, settings={"history": "2026-02-01"})
    assert planned.window.since == datetime(2026, 2, 1, tzinfo=UTC)
    assert made("convoso", Mode.FULL, settings={"history": "1999-01-01"}).window == made("convoso", Mode.FULL).window
    since = NOW - timedelta(days=300)
    assert made("convoso", Mode.RANGE, settings={"history": "2026-02-01"}, since=since).window.since == since
