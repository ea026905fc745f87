"""Calls that an account's rules leave out: counted, accounted for, and taken in again when the rule is gone."""

import pytest

from calltrack.mapping.rules import excluded_by, rules
from calltrack.model import CallRecord, Direction
from calltrack.sync import deliveries
from tests.integration.test_ledger import in_one_state_each, reconcile


def set_rule(world, rule):
    world.execute(
        "UPDATE provider_configs SET settings = settings || jsonb_build_object('exclude', CAST(:r AS text))", r=rule
    )


def test_excluded_calls_are_counted_accounted_for_and_come_when_the_rule_goes(system):
    world = system(records=60, days=0.2)
    world.sync("retreaver")
    (chosen,) = world.rows("SELECT campaign_id FROM calls GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
    wanted = "SELECT count(*) AS n FROM calls WHERE campaign_id = :c"
    number = world.one(wanted, c=chosen["campaign_id"])["n"]
    world.execute("DELETE FROM calls")

    set_rule(world, f"campaign_id={chosen['campaign_id']}, direction=outbound")
    run = world.sync("retreaver")
    assert (run["excluded"], run["inserted"]) == (number, 60 - number)
    assert world.one(wanted, c=chosen["campaign_id"])["n"] == 0
    found = reconcile(world, "retreaver", repair=True)
    in_one_state_each(found)
    assert (found.complete, found.counts["excluded"], found.counts["stored"]) == (True, number, 60 - number)
    (why,) = world.rows("SELECT DISTINCT reason FROM ledger_ids WHERE state = 'excluded'")
    assert why["reason"] == f"campaign_id={chosen['campaign_id']}"

    set_rule(world, "")
    assert world.sync("retreaver")["inserted"] == number
    world.assert_complete("retreaver")


def test_a_delivery_about_an_excluded_call_is_ignored_with_the_rule(system):
    world = system(records=0)
    set_rule(world, "publisher=Bad Leads")
    world.deliver(call_uuid="c1", affiliate_name="BAD LEADS")
    world.deliver(call_uuid="c2", affiliate_name="Good Leads")
    deliveries.process("retreaver")
    assert world.ids("retreaver") == ["c2"]
    states = world.rows("SELECT state, reason FROM webhook_logs ORDER BY id")
    assert [tuple(row.values()) for row in states] == [
        ("ignored", "excluded: publisher=BAD LEADS"),
        ("processed", None),
    ]


def test_any_of_the_rules_leaves_a_call_out():
    text = "direction=Outbound, buyer=Acme,buyer=ajax"
    assert excluded_by(CallRecord(external_id="a", direction=Direction.OUTBOUND), text) == "direction=outbound"
    assert excluded_by(CallRecord(external_id="a", buyer="Ajax"), text) == "buyer=Ajax"
    assert excluded_by(CallRecord(external_id="a", buyer="Others", direction=Direction.INBOUND), text) is None
    assert excluded_by(CallRecord(external_id="a"), text) is None


@pytest.mark.parametrize("text", ["direction", "direction=", "revenue=5", "=x", "a=b"])
def test_what_is_no_rule_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="write FIELD=VALUE"):
        rules(text)
