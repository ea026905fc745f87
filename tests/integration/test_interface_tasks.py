"""The interface as tasks: what travels through the broker, what operators read, and what comes back."""

import base64
import json
import logging

import pytest
from celery.contrib.testing.worker import start_worker

from calltrack.errors import AlreadyAsked, FixConfiguration, NotOffered, NotThere
from simulator import Habits

SECRET = "a-secret-of-the-test"
QUESTIONS = (
    *("check_credentials", "get_call", "list_numbers", "list_campaigns"),
    *("get_campaign", "list_webhooks", "call_report"),
)
CHANGES = ("update_call", "provision_number", "release_number", "register_webhook", "remove_webhook")


@pytest.fixture
def there(system):
    made = system(records=20, accounts_at=())
    made.add_account("trackdrive", secret_in="path")
    made.add_account("ringba", secret_in="path")
    return made


@pytest.fixture
def tasks(settings_env):
    import tasks

    return tasks


@pytest.fixture
def messages(tasks, broker):
    """The headers and bodies of messages that wait in any queue of the interface."""

    def read():
        found = []
        for queue in ("control", "ringba.fetch", "trackdrive.fetch"):
            for text in broker.lrange(queue, 0, -1):
                message = json.loads(text)
                found.append((queue, message["headers"], json.loads(base64.b64decode(message["body"]))))
        return found

    return read


def test_changes_are_never_run_twice_by_celery(tasks):
    for name in CHANGES:
        task = getattr(tasks, name)
        assert not task.acks_late, name
        assert not getattr(task, "autoretry_for", ()), name
        assert task.max_retries == 0, name
    for name in QUESTIONS:
        assert getattr(tasks, name).max_retries == 3, name


def test_operators_read_what_it_is_about_and_nothing_of_what_is_written(tasks, messages):
    tasks.update_call.delay("ringba", "RGB1", tags={"note": "a customer's words"}, add_revenue="12.50")
    tasks.register_webhook.delay("trackdrive", "https://calls.example.com", event="call_ended", account="east")
    (_, first, body), (_, second, _) = sorted(messages(), key=lambda message: message[1]["argsrepr"] != "ringba, RGB1")
    assert (first["argsrepr"], first["kwargsrepr"]) == ("ringba, RGB1", "{}")
    assert (second["argsrepr"], second["kwargsrepr"]) == ("trackdrive, east, call_ended", "{}")
    assert body[:2] == [
        [],
        {"provider": "ringba", "external_id": "RGB1", "tags": {"note": "a customer's words"}, "add_revenue": "12.50"},
    ]


def test_a_wrong_argument_is_told_at_once(tasks, messages):
    with pytest.raises(TypeError):
        tasks.update_call.delay("ringba", "RGB1", colour="red")
    assert not messages()


def test_every_task_gives_plain_json(tasks, there):
    call = there.sim.world.calls("ringba")[3]
    since = call.created_at.replace(microsecond=0).isoformat()
    assert tasks.check_credentials("ringba") is None
    assert tasks.get_call("ringba", call.id)["external_id"] == call.id
    numbers = tasks.list_numbers("ringba")
    bought = tasks.provision_number("ringba", toll_free=True)
    assert tasks.release_number("ringba", bought["number"]) == bought
    campaigns = tasks.list_campaigns("ringba")
    assert tasks.get_campaign("ringba", campaigns[0]["id"]) == campaigns[0]
    made = tasks.register_webhook("ringba", "https://calls.example.com", "Completed")
    assert tasks.list_webhooks("ringba") == [made]
    assert made["url"] == "https://calls.example.com/webhooks/ringba/default/…?…"
    tasks.remove_webhook("ringba", made["id"])
    report = tasks.call_report("ringba", since)
    assert report[0]["revenue"].count(".") == 1
    told = json.dumps([numbers, bought, campaigns, made, report])
    assert SECRET not in told
    with pytest.raises(FixConfiguration, match="is no time"):
        tasks.call_report("ringba", "yesterday")


def test_a_change_sends_for_its_call(tasks, there, messages):
    call = there.sim.world.calls("ringba")[3]
    tasks.update_call("ringba", call.id, payout="3.30")
    assert str(call.payout) == "3.3"
    ((queue, headers, _),) = messages()
    assert (queue, headers["task"]) == ("ringba.fetch", "calltrack.fetch_page")


def test_a_message_that_comes_twice_is_obeyed_once(tasks, there):
    call = there.sim.world.calls("ringba")[3]
    task = tasks.update_call
    for expected in (None, AlreadyAsked):
        task.push_request(id="the-same-message")
        try:
            if expected is None:
                task.run("ringba", call.id, add_revenue="5")
            else:
                with pytest.raises(expected):
                    task.run("ringba", call.id, add_revenue="5")
        finally:
            task.pop_request()
    assert there.sim.provider("ringba").writes["revenue.added"] == 1


def test_a_worker_answers_tries_questions_again_and_logs_no_results(tasks, there, caplog):
    call = there.sim.world.calls("ringba")[3]
    caplog.set_level(logging.INFO)
    with start_worker(
        tasks.app, pool="solo", perform_ping_check=False, queues=["control", "ringba.fetch"], shutdown_timeout=30
    ):
        there.sim.provider("ringba").habits = Habits(server_errors=0.6)
        assert tasks.get_call.delay("ringba", call.id).get(timeout=30)["caller_number"] == call.customer
        assert there.sim.stats["ringba"].faults["server_errors"] >= 1
        there.sim.provider("ringba").habits = Habits()
        with pytest.raises(NotThere):
            tasks.get_call.delay("ringba", "nobody").get(timeout=30)
        with pytest.raises(NotOffered):
            tasks.update_call.delay("ringba", call.id, converted=True).get(timeout=30)
    assert call.customer not in caplog.text
    assert "Traceback" not in caplog.text
