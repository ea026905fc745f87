"""Whose pages are stored next, and how many messages are about them: a sync of years lets the others through."""

import pytest

from calltrack.seldom import Seldom
from calltrack.sync import pull, runs, store, sweep
from calltrack.sync.hints import Step

#: as if each page had been fetched a second after the one before, an hour ago
WAITING = """
UPDATE sync_pages SET fetched_at = now() - interval '1 hour' + id * interval '1 second',
    hinted_at = now() - interval '1 hour'
"""


def stored(world, run_id):
    counted = world.one(
        "SELECT count(*) AS n FROM sync_pages WHERE run_id = :run AND state = 'stored' AND stored_at IS NOT NULL",
        run=run_id,
    )
    return counted["n"]


def by_id(hints):
    return sorted(hints, key=lambda hint: hint.id)


def told(hints):
    return [hint for some in hints for hint in some]


def test_messages_about_one_sync_store_the_pages_of_another_in_turn(system):
    world = system(records=900)
    world.add_account("retreaver", "small")
    large, hints = world.fetched()
    small, _ = world.fetched(name="small")
    seen = []
    for _ in range(4):
        told(store.store_on(hints[0].id, "retreaver", seconds=0))
        seen.append((stored(world, large), stored(world, small)))
    assert seen == [(1, 0), (1, 1), (2, 1), (2, 2)]
    told(store.store_on(hints[0].id, "retreaver", seconds=60))
    assert {world.run(run_id)["state"] for run_id in (large, small)} == {"completed"}


def test_another_providers_pages_are_left_to_its_own_queue(system):
    world = system()
    _, hints = world.fetched()
    run_id, others = runs.start("convoso", None, "full")
    for hint in others:
        pull.fetch(hint.id)
    told(store.store_on(hints[0].id, "retreaver", seconds=60))
    assert stored(world, run_id) == 0


@pytest.mark.parametrize(("fetched_at", "asks"), [("2020-01-01T00:00Z", set()), ("2100-01-01T00:00Z", {Step.STORE})])
def test_a_run_whose_pages_wait_already_asks_for_no_more_messages(system, monkeypatch, fetched_at, asks):
    monkeypatch.setattr(pull, "TOLD", Seldom(0.0))
    world = system(records=300, days=0.9)
    _, hints = runs.start("retreaver", None, "full")
    (following,) = pull.fetch(hints[0].id).hints
    world.execute("UPDATE sync_pages SET fetched_at = CAST(:at AS timestamptz) WHERE state = 'fetched'", at=fetched_at)
    assert {hint.step for hint in told(pull.fetch_on(following.id, seconds=60))} == asks


def test_slices_that_are_read_by_one_process_ask_for_storing_together(system, monkeypatch):
    monkeypatch.setattr(pull, "TOLD", Seldom(3600))
    monkeypatch.setattr(pull, "_storing_lags", lambda _: False)
    system(records=900)
    _, hints = runs.start("retreaver", None, "full")
    asked = [told(pull.fetch_on(hint.id, seconds=60)) for hint in hints]
    assert sum(len(of_slice) for of_slice in asked) == 1


def test_a_run_that_stands_still_is_hinted_at_by_the_first_in_its_line(system, monkeypatch):
    monkeypatch.setattr(runs, "ABREAST", 3)
    world = system(records=900)
    run_id, hints = world.fetched()
    world.execute(WAITING)
    assert sweep.sweep() == []  # it has progressed just now
    world.execute("UPDATE sync_runs SET progressed_at = now() - interval '1 hour'")
    assert by_id(sweep.sweep()) == hints[:3]
    assert sweep.sweep() == []  # these are on their way
    world.execute("UPDATE sync_runs SET state = 'failed'")
    assert len(runs.resume_run(run_id)) == 3


def test_a_page_that_could_not_be_stored_is_tried_again_when_it_is_due(system, monkeypatch):
    world = system()
    _, hints = world.fetched()

    def broken(*_args):
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(store, "read_page", broken)
        with pytest.raises(RuntimeError):
            store.store(hints[0].id)
    assert sweep.sweep() == []
    world.execute("UPDATE sync_pages SET next_attempt_at = now() WHERE id = :id", id=hints[0].id)
    assert sweep.sweep() == [hints[0]]
