"""A page that was stored before is not read again, if that would change nothing: looked at, not assumed."""

import pytest

from calltrack.sync import deliveries, runs, store
from calltrack.sync.plan import Mode

PROVIDERS = ("retreaver", "convoso", "trackdrive", "ringba")


@pytest.fixture
def world(system):
    return system(records=60, accounts_at=PROVIDERS, days=3)


@pytest.fixture
def read(monkeypatch):
    """The pages that were read and held something, one by one."""
    found = []

    def read_page(page, mapper, real=store.read_page):
        sight = real(page, mapper)
        if sight.observations or sight.rejects:
            found.append(page["id"])
        return sight

    monkeypatch.setattr(store, "read_page", read_page)
    return found


def fixed(world):
    """A range whose pages stay the same."""
    (moment,) = world.rows("SELECT now() - interval '30 days' AS since, now() + interval '1 minute' AS until")
    return moment["since"], world.one("SELECT now() - interval '1 second' AS until")["until"]


def sync(world, provider, span):
    return world.sync(provider, "range", *span)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_same_pages_are_not_read_again(world, read, provider):
    span = fixed(world)
    first = sync(world, provider, span)
    before, pages = world.rows("SELECT * FROM calls ORDER BY id"), len(read)
    assert pages
    again_run = sync(world, provider, span)
    assert len(read) == pages
    assert again_run["fetched"] == again_run["unchanged"] == first["fetched"]
    assert world.rows("SELECT * FROM calls ORDER BY id") == before
    assert sync(world, provider, span)["unchanged"] == first["fetched"]  # by the note of the page that was not read
    assert len(read) == pages


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM calls WHERE id = :id",
        "UPDATE calls SET content_digest = '\\x00' WHERE id = :id",
        "UPDATE calls SET content_digest = content_digest || '\\x2b' WHERE id = :id",
        "UPDATE calls SET content_digest = NULL WHERE id = :id",
        "UPDATE sync_pages SET mapper_version = mapper_version - 1",
        "UPDATE sync_pages SET held = NULL",
        "UPDATE sync_pages SET state = 'failed'",
    ],
)
def test_a_page_is_read_where_a_row_does_not_hold_just_its_record(world, read, damage):
    span = fixed(world)
    sync(world, "retreaver", span)
    before = world.ids("retreaver")
    some = world.rows("SELECT id FROM calls WHERE provider = 'retreaver' ORDER BY id LIMIT 1")[0]["id"]
    pages = len(read)
    world.execute(damage, **({"id": some} if ":id" in damage else {}))
    sync(world, "retreaver", span)
    assert len(read) > pages
    assert sorted(world.ids("retreaver")) == sorted(before)


def test_what_a_webhook_changed_meanwhile_is_compared(world, read):
    """Without versions: the page says again what the webhook changed, later, and takes it back."""
    span = fixed(world)
    sync(world, "convoso", span)
    known = world.rows(
        "SELECT * FROM calls WHERE provider = 'convoso' AND disposition IS NOT NULL ORDER BY id LIMIT 1"
    )[0]
    world.deliver("convoso", call_log_id=known["external_id"], status="OTHER", lead_id="another")
    deliveries.process("convoso")
    query = "SELECT disposition, lead_id FROM calls WHERE id = :id"
    assert world.one(query, id=known["id"])["disposition"] == "OTHER"
    pages = len(read)
    sync(world, "convoso", span)
    assert len(read) > pages
    assert world.one(query, id=known["id"]) == {name: known[name] for name in ("disposition", "lead_id")}


def test_a_page_that_was_not_read_confirms_what_a_late_delivery_would_undo(world, read):
    span = fixed(world)
    sync(world, "convoso", span)
    known = world.rows(
        "SELECT * FROM calls WHERE provider = 'convoso' AND disposition IS NOT NULL ORDER BY id LIMIT 1"
    )[0]
    late = world.deliver("convoso", call_log_id=known["external_id"], status="OTHER")
    pages = len(read)
    sync(world, "convoso", span)
    assert len(read) == pages
    deliveries.process("convoso")
    assert world.one("SELECT state FROM webhook_logs WHERE id = :id", id=late)["state"] == "processed"
    row = world.one("SELECT disposition FROM calls WHERE id = :id", id=known["id"])
    assert row["disposition"] == known["disposition"]


def test_a_page_with_rejects_is_read_each_time(system, read):
    # within a day, for that is in one slice, whenever the test runs: another page might have none
    world = system(records=60, accounts_at=("retreaver",), habits="blank_ids=0.05", days=0.9)
    span = fixed(world)
    assert sync(world, "retreaver", span)["rejected"]
    assert len(read) == 1
    sync(world, "retreaver", span)
    assert len(read) == 2


def test_a_rule_that_came_meanwhile_is_heeded(world, read):
    span = fixed(world)
    sync(world, "retreaver", span)
    campaign = world.rows("SELECT campaign_id FROM calls WHERE provider = 'retreaver' ORDER BY id LIMIT 1")[0]
    rule = f'{{"exclude": "campaign_id={campaign["campaign_id"]}"}}'
    world.execute("UPDATE provider_configs SET settings = settings || CAST(:rule AS jsonb)", rule=rule)
    assert sync(world, "retreaver", span)["excluded"] > 0


def test_a_check_of_the_ledger_reads_each_page(world, read):
    """It compares what the page says with the rows, field by field."""
    since, until = fixed(world)
    sync(world, "retreaver", (since, until))
    pages = len(read)
    with world.engine.begin() as connection:
        account = world.one("SELECT id FROM provider_configs WHERE provider_type = 'retreaver'")["id"]
        run = runs.queue(connection, account, "retreaver", Mode.CHECK, since, until)
        hints = runs.begin(connection, run)
    world.follow(hints)
    assert len(read) > pages
