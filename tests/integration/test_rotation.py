"""Replacing the key of all accounts, in real Postgres, while others read and change them."""

import threading
import time

import pytest
from sqlalchemy import text

from calltrack.accounts import add, change, remove, rotation
from calltrack.db import accounts, audit
from calltrack.db.credentials import Vault

OLD, NEW = {"old": "o" * 32}, {"2026-11": "n" * 32}


@pytest.fixture
def vault():
    """Knows both keys, and seals with the new one."""
    return Vault({**NEW, **OLD})


@pytest.fixture
def three(database):
    """The labels of three accounts, sealed with the old key."""
    with database.begin() as conn:
        added = [
            add(
                conn,
                Vault(OLD),
                "retreaver",
                name=name,
                values={"api_key": f"key-{name}", "company_id": "7"},
                webhook_secrets=[f"hook-{name}"],
            )
            for name in ("a", "b", "c")
        ]
    return [one.account.label for one in added]


def until_somebody_waits(engine):
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 10
    with engine.connect() as conn:
        while not conn.scalar(waiting):
            assert time.monotonic() < deadline, "nobody waits for a lock"
            time.sleep(0.005)


def keys_of(engine):
    with engine.connect() as conn:
        return [key_id for _, _, key_id in accounts.sealed_with(conn)]


def test_all_accounts_are_sealed_anew_and_hold_what_they_held(database, vault, three):
    done = list(rotation.rotate(database, vault))
    assert done == [rotation.Resealed(label, "old") for label in three]
    with database.connect() as conn:
        opened = accounts.all(conn, Vault(NEW))  # without the old key
        recorded = audit.entries(conn, action="credentials.rotated")
    assert [(one.secrets, one.webhook_secrets) for one in opened] == [
        ({"api_key": f"key-{name}"}, (f"hook-{name}",)) for name in ("a", "b", "c")
    ]
    assert [(row["subject"], row["details"]) for row in reversed(recorded)] == [
        (label, {"old": "old", "new": "2026-11"}) for label in three
    ]
    assert list(rotation.rotate(database, vault)) == []


def test_stopped_halfway_it_goes_on_where_it_was(database, vault, three):
    under_way = rotation.rotate(database, vault)
    next(under_way)
    under_way.close()
    assert keys_of(database) == ["2026-11", "old", "old"]
    assert [one.account for one in rotation.rotate(database, vault)] == three[1:]


def test_a_dry_run_changes_nothing_and_tells_what_would_not_open(database, vault, three):
    with database.begin() as conn:
        conn.execute(text("UPDATE provider_configs SET credentials = 'v1:old:AAAA:AAAA' WHERE name = 'b'"))
    told = list(rotation.rotate(database, vault, dry_run=True))
    assert [bool(one.fault) for one in told] == [False, True, False]
    assert keys_of(database) == ["old"] * 3
    with database.connect() as conn:
        assert audit.entries(conn, action="credentials") == []


def test_one_account_that_does_not_open_does_not_stop_the_others(database, vault, three):
    with database.begin() as conn:
        spoil = "UPDATE provider_configs SET credentials = replace(credentials, ':old:', ':lost:') WHERE name = 'a'"
        conn.execute(text(spoil))
    done = list(rotation.rotate(database, vault))
    assert "'lost'" in done[0].fault
    assert [one.fault for one in done[1:]] == [None, None]
    assert keys_of(database) == ["lost", "2026-11", "2026-11"]
    with database.connect() as conn:
        assert "retreaver/a need 'lost'" in rotation.missing(conn, vault)


def test_what_is_changed_or_removed_meanwhile_is_not_undone(database, vault, three):
    """Between the list of what is to do and the doing."""
    under_way = rotation.rotate(database, vault)
    next(under_way)
    with database.begin() as conn:
        account = accounts.find(conn, vault, "retreaver", "b")
        change(conn, Vault(OLD), account, values={"api_key": "changed"})
        remove(conn, accounts.find_id(conn, "retreaver", "c"))
    list(under_way)
    with database.connect() as conn:
        assert [one.secrets for one in accounts.all(conn, Vault(NEW))] == [{"api_key": "key-a"}, {"api_key": "changed"}]


def test_a_change_that_is_under_way_is_waited_for(database, vault, three):
    """Else the account's old credentials would be sealed anew, over the new ones."""
    with database.connect() as changing:
        account = accounts.find(changing, vault, "retreaver", "a")
        change(changing, Vault(OLD), account, values={"api_key": "changed"})
        thread = threading.Thread(target=lambda: list(rotation.rotate(database, vault)))
        thread.start()
        until_somebody_waits(database)
        changing.commit()
    thread.join(10)
    with database.connect() as conn:
        assert accounts.find(conn, Vault(NEW), "retreaver", "a").secrets == {"api_key": "changed"}


def test_a_key_in_use_is_told_from_one_that_is_not(database, vault, three):
    with database.connect() as conn:
        assert rotation.keys(conn, vault) == [
            rotation.Key("2026-11", "seals", ()),
            rotation.Key("old", "opens", tuple(three)),
        ]
        with pytest.raises(rotation.FixConfiguration, match="'old' is still in use: retreaver/a, retreaver/b"):
            rotation.refuse_in_use(conn, vault, "old")
        with pytest.raises(rotation.FixConfiguration, match="'2026-11' is the one that seals"):
            rotation.refuse_in_use(conn, vault, "2026-11")
    list(rotation.rotate(database, vault))
    with database.connect() as conn:
        rotation.refuse_in_use(conn, vault, "old")


def test_a_process_that_is_older_than_the_key_finds_it_in_the_key_file(database, vault, three, tmp_path):
    """So the embedded system need not be restarted."""
    (tmp_path / "secret_keys").write_text(f"2026-11:{NEW['2026-11']},old:{OLD['old']}\n")
    list(rotation.rotate(database, vault))
    with database.connect() as conn:
        running = Vault(OLD, tmp_path)
        assert accounts.find(conn, running, "retreaver", "a").secrets == {"api_key": "key-a"}
