"""What providers offer besides their lists of calls, done at all stand-ins: each operation, and each way to lose it."""

import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from calltrack import interface
from calltrack.errors import (
    AlreadyAsked,
    EndlessPages,
    FixConfiguration,
    NotOffered,
    NotThere,
    OutcomeUnknown,
    PartlyDone,
    RequestRefused,
    TryLater,
    UnreadableAnswer,
)
from calltrack.interface.plain import plain
from calltrack.sync import deliveries, sweep
from simulator import Habits
from simulator import server as wire
from simulator.faults import Faults
from simulator.retreaver import POSTBACK_KEY
from webhooks.app import create_app

ALL = ("retreaver", "convoso", "trackdrive", "ringba")
WITH_NUMBERS = ("retreaver", "trackdrive", "ringba")
WITH_MONEY = WITH_WEBHOOKS = ("trackdrive", "ringba")
#: ways to lose an answer after the provider did what it was asked for
LOST = ("cut_connections=1", "server_errors=1", "html_answers=1", "cut_json=1")
SECRET = "a-secret-of-the-test"
HOST = "https://calls.example.com"


@pytest.fixture
def there(system):
    """The system with an account at each provider, able to do all that there is."""
    made = system(records=40, accounts_at=())
    made.add_account("retreaver", postback_key=POSTBACK_KEY, data_url=made.sim.url("retreaver"))
    made.add_account("convoso")
    made.add_account("trackdrive", secret_in="path")
    made.add_account("ringba", secret_in="query")
    return made


@pytest.fixture
def bodies(monkeypatch):
    """The bodies of requests, as they came over the wire."""
    seen, read = [], wire.Handler._body

    def keep(handler):
        seen.append(read(handler))
        return seen[-1]

    monkeypatch.setattr(wire.Handler, "_body", keep)
    return seen


def a_call(there, provider):
    return there.sim.world.calls(provider)[7]


def writes(there, provider):
    return dict(there.sim.provider(provider).writes)


def behave(there, provider, habits=""):
    """From now on the provider has these habits; what became of former ones is forgotten."""
    there.wait_no_longer()
    there.sim.provider(provider).habits = Habits.parse(habits)
    there.sim.provider(provider)._faults = Faults(seed=1)


def noted(there):
    """What the audit log tells of changes."""
    rows = there.rows("SELECT action, details FROM audit_log ORDER BY id")
    return [(row["action"], row["details"]["outcome"]) for row in rows if "outcome" in row["details"]]


def span(there, provider):
    """The time from the 5th to the 35th call."""
    times = sorted(call.created_at.replace(microsecond=0) for call in there.sim.world.calls(provider))
    return times[5], times[35]


# ── calls ──


@pytest.mark.parametrize("provider", ALL)
def test_a_call_is_as_the_provider_has_it(there, provider):
    asking, truth = interface.of(provider), there.sim.provider(provider).truths()[7]
    assert asking.check() is None
    got = asking.call(truth["external_id"])
    assert (got.external_id, got.started_at) == (truth["external_id"], datetime.fromisoformat(truth["started_at"]))
    with pytest.raises(NotThere):
        asking.call("12345678")
    assert not there.ids(provider)


@pytest.mark.parametrize("provider", ALL)
def test_all_calls_of_a_range_are_listed_once(there, provider):
    """Page by page; what cannot be a call is left out, and a range that is too large is cut."""
    small = """{"page_size": "7", "offset_cap": "10", "longest_range": "20"}"""
    there.execute("UPDATE provider_configs SET settings = settings || CAST(:small AS jsonb)", small=small)
    since, until = span(there, provider)
    for habits in ("blank_ids=0.1", "page_shift, duplicates_across_pages", "partial_result=240, capped_offset=10"):
        behave(there, provider, habits)
        known = set(there.sim.provider(provider).ids(since, until))
        got = [call.external_id for call in interface.of(provider).calls(since, until)]
        assert len(known) > 20
        assert len(set(got)) == len(got), habits
        assert set(got) >= known, habits


@pytest.mark.parametrize("provider", ["retreaver", "trackdrive"])
def test_a_list_that_does_not_end_is_told_of(there, provider, monkeypatch):
    monkeypatch.setattr("calltrack.interface.asking.MOST_PAGES", 20)
    there.execute("""UPDATE provider_configs SET settings = settings || '{"page_size": "7"}'""")
    for habit in ("endless_next", "repeated_cursor"):
        behave(there, provider, habit)
        with pytest.raises(EndlessPages):
            list(interface.of(provider).calls(*span(there, provider)))


# ── changes of a call ──

CHANGES = {
    "retreaver": [({"tags": {"quality": "good"}}, {"call.updated": 1})],
    "convoso": [
        ({"tags": {"extra_field_01": "good"}}, {"call.updated": 1}),
        ({"revenue": "100"}, {"call.updated": 1, "revenue.set": 1}),
    ],
    "trackdrive": [
        ({"tags": {"quality": "good"}}, {"call.updated": 1, "tokens.set": 1}),
        ({"converted": "yes"}, {"call.updated": 1, "conversion.set": 1}),
        ({"converted": "no"}, {"call.updated": 1, "conversion.set": 1}),
        ({"revenue": "12.10"}, {"call.updated": 1, "revenue.set": 1}),
        ({"payout": "3.30"}, {"call.updated": 1, "payout.set": 1}),
        ({"add_revenue": "12.10"}, {"call.updated": 1, "revenue.added": 1}),
        ({"add_payout": "-0.30"}, {"call.updated": 1, "payout.added": 1}),
    ],
    "ringba": [
        ({"tags": {"quality": "good"}}, {"call.updated": 1}),
        ({"revenue": "12.10"}, {"call.updated": 1, "revenue.set": 1}),
        ({"payout": "3.30"}, {"call.updated": 1, "payout.set": 1}),
        ({"add_revenue": "12.10"}, {"call.updated": 1, "revenue.added": 1}),
        ({"add_payout": "-0.30"}, {"call.updated": 1, "payout.added": 1}),
    ],
}


@pytest.mark.parametrize("provider", ALL)
def test_a_call_is_changed(there, provider):
    call, counted = a_call(there, provider), there.sim.provider(provider).writes
    for change, written in CHANGES[provider]:
        (field, given), *_ = change.items()
        before = getattr(call, field.removeprefix("add_"), None) or 0 if field.startswith("add_") else 0
        counted.clear()
        interface.of(provider).update(call.id, **change)
        assert counted == written, change
        if field == "tags":
            assert call.tags.items() >= given.items()
        elif field == "converted":
            assert call.converted is (given == "yes")
        else:
            assert getattr(call, field.removeprefix("add_")) == before + Decimal(given), change
    assert noted(there) == [("call.update", "asked"), ("call.update", "done")] * len(CHANGES[provider])


@pytest.mark.parametrize("provider", WITH_MONEY)
def test_the_row_of_a_changed_call_does_not_wait_for_a_sync(there, provider):
    there.sync(provider)
    call = a_call(there, provider)
    there.follow(interface.of(provider).update(call.id, revenue="123.45"))
    assert there.one("SELECT revenue FROM calls WHERE external_id = :id", id=call.id)["revenue"] == Decimal("123.45")
    assert there.one("SELECT state FROM sync_runs ORDER BY id DESC LIMIT 1")["state"] == "completed"
    behave(there, provider, "cut_connections=1")
    with pytest.raises(OutcomeUnknown):
        interface.of(provider).update(call.id, add_revenue="1")
    behave(there, provider)
    there.follow(sweep.sweep())
    assert there.one("SELECT revenue FROM calls WHERE external_id = :id", id=call.id)["revenue"] == Decimal("124.45")


def test_where_nobody_fetches_no_page_is_left_behind(there):
    there.execute("UPDATE provider_configs SET is_active = false")
    assert interface.of("ringba").update(a_call(there, "ringba").id, revenue="1") == []
    with pytest.raises(NotThere):
        interface.of("trackdrive").update("nobody", revenue="1")
    assert not there.rows("SELECT * FROM sync_runs")


def test_amounts_go_out_digit_by_digit(there, bodies):
    for amount in ("12.10", "0.000001", "100", "123456789012.123456"):
        bodies.clear()
        interface.of("ringba").update(a_call(there, "ringba").id, revenue=amount)
        interface.of("trackdrive").update(a_call(there, "trackdrive").id, revenue=amount)
        assert f'"newConversionAmount":{amount}}}'.encode() in bodies[0]
        assert bodies[1] == f'{{"revenue":{amount}}}'.encode()
    bodies.clear()
    interface.of("convoso").update(a_call(there, "convoso").id, revenue=Decimal("100.00"))
    assert bodies[0].endswith(b"&revenue=100.00")


def test_all_that_is_written_is_looked_at_before_anything_is_asked(there):
    wrong = [
        ({"revenue": "much"}, "write a number"),
        ({"revenue": True}, "write a number"),
        ({"converted": "perhaps"}, "yes or no"),
        ({"colour": "red"}, "not colour"),
        ({"tags": {"": "x"}}, "cannot be the name"),
    ]
    for change, told in wrong:
        with pytest.raises(FixConfiguration, match=told):
            interface.of("trackdrive").update("x", payout="1", **change)
    with pytest.raises(FixConfiguration, match="not nothing"):
        interface.of("trackdrive").update("x")
    assert not there.sim.stats["trackdrive"].requests
    assert not noted(there)


def test_a_tag_takes_no_other_field_s_place(there):
    for provider, name in (("retreaver", "call_uuid"), ("convoso", "call_log_id")):
        with pytest.raises(FixConfiguration, match="cannot be the name of a tag"):
            interface.of(provider).update(a_call(there, provider).id, tags={name: "another"})
    with pytest.raises(RequestRefused):
        interface.of("convoso").update(a_call(there, "convoso").id, tags={"colour": "red"})


def test_an_operation_may_need_a_key_of_its_own(there):
    there.add_account("retreaver", "without")
    with pytest.raises(FixConfiguration, match="calltrack accounts update retreaver/without --set postback_key"):
        interface.of("retreaver", "without").update("x", tags={"a": "b"})


# ── what must not be done twice ──


@pytest.mark.parametrize("provider", WITH_MONEY)
def test_what_is_added_is_asked_for_once_though_its_answer_is_lost(there, provider):
    for times, habits in enumerate(LOST, 1):
        behave(there, provider, habits)
        with pytest.raises(OutcomeUnknown):
            interface.of(provider).update(a_call(there, provider).id, add_revenue="5")
        assert writes(there, provider)["revenue.added"] == there.sim.stats[provider].requests == times, habits
        assert noted(there)[-2:] == [("call.update", "asked"), ("call.update", "outcome_unknown")]


@pytest.mark.parametrize("provider", WITH_NUMBERS)
def test_a_purchase_whose_answer_is_lost_is_asked_for_once(there, provider):
    for times, habits in enumerate(LOST, 1):
        behave(there, provider, habits)
        with pytest.raises(OutcomeUnknown):
            interface.of(provider).provision()
        assert writes(there, provider) == {"number.added": times}, habits
        assert there.sim.stats[provider].requests == times
        assert noted(there)[-2:] == [("number.provision", "asked"), ("number.provision", "outcome_unknown")]
    behave(there, provider)
    interface.of(provider).numbers()  # here they are found
    bought = there.rows("SELECT * FROM provider_tracking_numbers WHERE number LIKE '+18%'")
    assert len(bought) >= len(LOST)


@pytest.mark.parametrize("provider", WITH_MONEY)
def test_what_may_be_done_twice_may_be_tried_later(there, provider):
    call = a_call(there, provider)
    for habits in ("cut_connections=1", "server_errors=1", "html_answers=1"):
        behave(there, provider, habits)
        with pytest.raises(TryLater):
            interface.of(provider).update(call.id, revenue="5")
    behave(there, provider)
    interface.of(provider).update(call.id, revenue="6")
    assert call.revenue == 6


def test_what_was_added_is_not_asked_for_again_with_the_rest(there, monkeypatch):
    """Adding comes last; where a later part fails, the error says what is done, and is none to try again after."""
    call, asked = a_call(there, "trackdrive"), []
    asking = interface.of("trackdrive")
    send = asking._asking.client.send

    def fail_at_the_fourth(request, lane):
        asked.append(next(iter(request.json)))
        if len(asked) == 4:
            raise UnreadableAnswer
        return send(request, lane)

    monkeypatch.setattr(asking._asking.client, "send", fail_at_the_fourth)
    with pytest.raises(PartlyDone) as error:
        asking.update(call.id, add_revenue="5", add_payout="6", revenue="7", tags={"a": "b"})
    assert asked == ["revenue", "post_call_tokens", "add_revenue", "add_payout"]
    assert error.value.message.startswith("Done: revenue, tag a, add_revenue. Then add_payout: ")


def test_the_same_message_is_obeyed_once_however_often_it_comes(there):
    call, ends = a_call(there, "ringba"), []

    def ask():
        try:
            interface.of("ringba", number="message-1").update(call.id, add_revenue="5")
        except AlreadyAsked:
            ends.append("already")
        else:
            ends.append("done")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["already", "already", "already", "done"]
    assert writes(there, "ringba")["revenue.added"] == 1


def test_who_is_killed_in_the_middle_has_left_that_it_was_asked_for(there, monkeypatch):
    asking = interface.of("ringba")

    def killed(request, lane):
        assert noted(there) == [("number.provision", "asked")]
        raise KeyboardInterrupt

    monkeypatch.setattr(asking._asking.client, "send", killed)
    with pytest.raises(KeyboardInterrupt):
        asking.provision(area_code="888")
    asked, ended = there.rows("SELECT subject, details FROM audit_log WHERE action = 'number.provision' ORDER BY id")
    assert ended["details"]["outcome"] == "interrupted"
    assert (asked["subject"], asked["details"]["area_code"]) == ("ringba/default", "888")
    assert asked["details"]["request"] == ended["details"]["request"]


# ── numbers ──


def kept(there):
    rows = there.rows("SELECT external_id, number, is_active FROM provider_tracking_numbers ORDER BY id")
    return {row["external_id"]: (row["number"], row["is_active"]) for row in rows}


@pytest.mark.parametrize("provider", WITH_NUMBERS)
def test_numbers_are_kept_in_step(there, provider):
    asking = interface.of(provider)
    before = asking.numbers()
    assert kept(there) == {one.id: (one.number, True) for one in before} != {}
    bought = asking.provision(toll_free=True)
    assert bought.number.startswith("+18")
    assert kept(there) == {one.id: (one.number, True) for one in [*before, bought]}
    asking.release(bought.number.removeprefix("+1"))
    assert kept(there)[bought.id] == (bought.number, False)
    asking.release(before[0].id)
    assert writes(there, provider) == {"number.added": 1, "number.removed": 2}
    assert {one.id for one in asking.numbers()} == {one.id for one in before[1:]}
    assert {key for key, (_, active) in kept(there).items() if active} == {one.id for one in before[1:]}
    with pytest.raises(FixConfiguration, match="has no number"):
        asking.release(bought.number)


def test_numbers_that_went_elsewhere_are_not_active_any_more(there):
    asking = interface.of("trackdrive")
    first, *rest = asking.numbers()
    there.sim.provider("trackdrive").desk.numbers.lose(first.id)
    assert asking.numbers() == rest
    assert kept(there)[first.id] == (first.number, False)


def test_a_list_does_not_overrule_what_was_done_while_it_was_read(there, monkeypatch):
    asking = interface.of("ringba")
    first = asking.numbers()[0]
    listed, bought = asking._asking.list, []

    def slow(resource):
        found = list(listed(resource))
        bought.append(interface.of("ringba").provision())
        interface.of("ringba").release(first)
        yield from found

    monkeypatch.setattr(asking._asking, "list", slow)
    asking.numbers()
    assert kept(there)[bought[0].id] == (bought[0].number, True)
    assert kept(there)[first.id] == (first.number, False)


def test_nothing_is_bought_with_a_wish_passed_over(there):
    for provider, choice in (("ringba", "campaign"), ("ringba", "publisher"), ("retreaver", "area_code")):
        with pytest.raises(FixConfiguration, match=f"takes no {choice}"):
            interface.of(provider).provision(**{choice: "1"})
        assert not there.sim.stats[provider].requests
    campaign = interface.of("retreaver").campaigns()[0]
    number = interface.of("retreaver").provision(toll_free=False, campaign=campaign.id)
    assert (number.campaign_id, number.number[:5]) == (campaign.id, "+1415")
    assert interface.of("ringba").provision(area_code="888").number.startswith("+1888")


# ── campaigns ──


@pytest.mark.parametrize("provider", ALL)
def test_campaigns(there, provider):
    asking = interface.of(provider)
    campaigns = asking.campaigns()
    assert {one.name for one in campaigns} >= {call.campaign.name for call in there.sim.world.calls(provider)}
    assert len({one.id for one in campaigns}) == len(campaigns)
    if provider != "convoso":
        assert [asking.campaign(one.id) for one in campaigns] == campaigns
        with pytest.raises(NotThere):
            asking.campaign("123456789")


# ── webhooks ──


@pytest.mark.parametrize(("provider", "event"), [("trackdrive", "call_ended"), ("ringba", "Completed")])
def test_webhooks_are_registered_once_listed_and_removed(there, provider, event):
    asking = interface.of(provider)
    made = asking.register(HOST, event)
    assert asking.register(f"{HOST}/", event) == made
    assert asking.webhooks() == [made]
    assert (made.event, made.active) == (event, True)
    assert made.url.startswith(f"{HOST}/webhooks/{provider}/default")
    assert SECRET in str(there.sim.provider(provider).writes) + str(registered(there, provider))
    asking.unregister(made.id)
    assert asking.webhooks() == []
    assert [number for name, number in writes(there, provider).items() if name.endswith(".added")] == [1]
    told = f"{made} {plain(made)} {[dict(row) for row in there.rows('SELECT details FROM audit_log')]}"
    assert SECRET not in told


def registered(there, provider):
    """As the provider has them, secrets and all."""
    stand_in = there.sim.provider(provider)
    return (stand_in.desk.subscriptions if provider == "trackdrive" else stand_in.pixels).list()


@pytest.mark.parametrize(("provider", "event"), [("trackdrive", "call_ended"), ("ringba", "Finalized")])
def test_what_is_registered_opens_the_door(there, settings_env, provider, event):
    """The provider fills in its tokens, or sends JSON; the secret in the URL is enough, and the call is asked for."""
    call = a_call(there, provider)
    interface.of(provider).register("http://localhost", event)
    (webhook,) = registered(there, provider)
    url = (webhook.get("target_url") or webhook["pixelUrl"]).replace("[Call:InboundCallId]", call.id)
    receiver = create_app(settings_env(), publish=lambda _: None, interval=3600)
    sent = {"json": {"uuid": call.id, "event": event}} if provider == "trackdrive" else {}
    answer = receiver.test_client().open(url, method="POST" if sent else "GET", **sent)
    receiver.extensions["receiver"].close()
    assert answer.status_code == 202, answer.json
    there.follow(deliveries.drain(provider))
    stored = there.one("SELECT * FROM calls")
    assert (stored["external_id"], stored["caller_number"]) == (call.id, call.customer)


def test_what_was_silently_switched_off_is_registered_anew(there):
    asking = interface.of("trackdrive")
    made = asking.register(HOST, "call_ended")
    registered(there, "trackdrive")[0]["active"] = False
    assert [one.active for one in asking.webhooks()] == [False]
    assert asking.register(HOST, "call_ended").id != made.id


def test_a_lost_registration_is_found_when_it_is_asked_for_again(there, monkeypatch):
    asking = interface.of("ringba")
    list_ = asking._asking.list

    def then_lose(resource):
        yield from list_(resource)
        behave(there, "ringba", "cut_connections=1")

    monkeypatch.setattr(asking._asking, "list", then_lose)
    with pytest.raises(OutcomeUnknown):
        asking.register(HOST, "Completed")
    behave(there, "ringba")
    assert interface.of("ringba").register(HOST, "Completed").event == "Completed"
    assert len(registered(there, "ringba")) == 1


def test_what_the_door_would_refuse_is_not_registered(there):
    there.add_account("trackdrive", "plain")
    with pytest.raises(FixConfiguration, match="secret_in=path"):
        interface.of("trackdrive", "plain").register(HOST, "call_ended")
    assert not there.sim.stats["trackdrive"].requests


# ── reports ──


@pytest.mark.parametrize("provider", ["retreaver", "trackdrive", "ringba"])
def test_a_report_counts_just_the_calls_of_its_range(there, provider):
    calls = sorted(there.sim.world.calls(provider), key=lambda call: call.created_at)
    since = calls[10].created_at.replace(microsecond=0)
    until = calls[30].created_at.replace(microsecond=0) + timedelta(seconds=1)
    those = [call for call in calls if since <= call.created_at < until]
    lines = interface.of(provider).report(since, until)
    assert sum(line.calls for line in lines) == len(those)
    assert sum(line.revenue for line in lines) == sum(call.revenue or 0 for call in those)
    assert len({line.name for line in lines}) == len(lines) > 1
    with pytest.raises(FixConfiguration, match="range is empty"):
        interface.of(provider).report(until, since)


# ── what is not offered ──


def test_what_a_provider_lacks_raises_one_error(there):
    lacking = {
        "convoso": [
            lambda asking: asking.numbers(),
            lambda asking: asking.provision(),
            lambda asking: asking.release("1"),
            lambda asking: asking.campaign("1"),
            lambda asking: asking.webhooks(),
            lambda asking: asking.register(HOST, "x"),
            lambda asking: asking.unregister("1"),
            lambda asking: asking.report(datetime(2026, 3, 1, tzinfo=UTC)),
            lambda asking: asking.update("1", converted="yes"),
            lambda asking: asking.update("1", add_revenue="1", revenue="1"),
        ],
        "retreaver": [
            lambda asking: asking.update("1", revenue="1"),
            lambda asking: asking.webhooks(),
            lambda asking: asking.register(HOST, "x"),
        ],
        "ringba": [lambda asking: asking.update("1", converted="yes")],
    }
    for provider, operations in lacking.items():
        for number, ask in enumerate(operations):
            with pytest.raises(NotOffered, match="see `calltrack providers`") as error:
                ask(interface.of(provider))
            assert error.value.reason == "not_offered", number
        assert not there.sim.stats[provider].requests
    there.execute("""UPDATE provider_configs SET settings = settings || '{"dialect": "recordings"}'""")
    with pytest.raises(NotOffered):
        interface.of("convoso").call("1")
    assert not noted(there)


def test_lists_of_things_without_ids_are_not_believed(there):
    there.sim.provider("trackdrive").desk.numbers.put({"id": None, "number": "+18005550199"})
    with pytest.raises(UnreadableAnswer):
        interface.of("trackdrive").numbers()
    assert json.dumps(kept(there)) == "{}"
