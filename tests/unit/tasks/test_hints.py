"""What becomes a message, on which queue, and what an operator reads of it."""

import pytest
from kombu.exceptions import OperationalError

from calltrack.sync.hints import Hint, Step


@pytest.fixture
def hints(settings_env):
    from tasks import hints

    return hints


def test_a_page_is_fetched_and_then_stored(hints):
    chain = hints._signature(Hint(Step.FETCH, "retreaver", 42, "retreaver page 12 of run 7"))
    fetch, store = chain.tasks
    assert (fetch.task, store.task) == ("calltrack.fetch_page", "calltrack.store_page")
    assert fetch.kwargs == store.kwargs == {"page_id": 42, "provider": "retreaver"}
    assert {task.options["argsrepr"] for task in chain.tasks} == {"retreaver page 12 of run 7"}
    assert all(task.immutable for task in chain.tasks)


@pytest.mark.parametrize(
    ("task", "kwargs", "queue"),
    [
        ("calltrack.fetch_page", {"page_id": 1, "provider": "retreaver"}, "retreaver.fetch"),
        ("calltrack.store_page", {"page_id": 1, "provider": "convoso"}, "convoso.store"),
        ("calltrack.process_deliveries", {"provider": "convoso"}, "convoso.webhooks"),
        ("calltrack.tick", {}, "control"),
        ("calltrack.sync_account", {}, "control"),
    ],
)
def test_every_task_has_its_queue(hints, task, kwargs, queue):
    assert hints.app.amqp.router.route({}, task, (), kwargs)["queue"].name == queue


def test_a_broker_that_is_away_loses_hints_and_nothing_else(hints, monkeypatch):
    def away(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr(hints, "group", away)
    hints.send([Hint(Step.STORE, "retreaver", 1, "a page")])
