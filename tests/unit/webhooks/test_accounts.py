"""The receiver's copy of the accounts: soon up to date, cheap under floods, in use while Postgres is away."""

import threading
from dataclasses import dataclass

import pytest
from sqlalchemy.exc import OperationalError

from calltrack.errors import UnknownDoor
from webhooks.accounts import Accounts
from webhooks.answers import NotLanded


@dataclass(frozen=True)
class Account:
    name: str
    is_active: bool = True


class Postgres:
    """Gives what stands in it, and counts how often it is asked."""

    def __init__(self, *accounts):
        self.accounts = accounts
        self.away = False
        self.asked = 0

    def __call__(self):
        self.asked += 1
        if self.away:
            raise OperationalError("SELECT", {}, ConnectionError("gone"))
        return {"acme": {account.name: account for account in self.accounts}}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def copy_of(postgres, clock):
    return Accounts(postgres, clock)


def test_without_a_name_the_only_account_is_meant(clock):
    assert copy_of(Postgres(Account("west")), clock).find("acme", None).name == "west"


def test_without_a_name_the_default_of_several_is_meant(clock):
    accounts = copy_of(Postgres(Account("west"), Account("default")), clock)
    assert accounts.find("acme", None).name == "default"
    assert accounts.find("acme", "west").name == "west"


@pytest.mark.parametrize(
    ("provider", "name"), [("acme", "north"), ("acme", None), ("acme", "asleep"), ("none", None), ("none", "west")]
)
def test_no_such_door(clock, provider, name):
    accounts = copy_of(Postgres(Account("west"), Account("east"), Account("asleep", is_active=False)), clock)
    with pytest.raises(UnknownDoor):
        accounts.find(provider, name)


def test_one_read_serves_for_some_seconds(clock):
    postgres = Postgres(Account("west"))
    accounts = copy_of(postgres, clock)
    for clock.now in (1000.0, 1002.0, 1004.9):
        accounts.find("acme", "west")
    assert postgres.asked == 1
    clock.now = 1005.1
    accounts.find("acme", "west")
    assert postgres.asked == 2


def test_a_new_account_is_known_within_a_second(clock):
    postgres = Postgres()
    accounts = copy_of(postgres, clock)
    with pytest.raises(UnknownDoor):
        accounts.find("acme", "west")
    postgres.accounts = (Account("west"),)
    clock.now += 1.1
    assert accounts.find("acme", "west").name == "west"


def test_a_flood_of_made_up_names_costs_one_read_a_second(clock):
    postgres = Postgres(Account("west"))
    accounts = copy_of(postgres, clock)
    for number in range(1000):
        with pytest.raises(UnknownDoor):
            accounts.find("acme", f"made-up-{number}")
        clock.now += 0.004
    assert postgres.asked <= 5


def test_the_last_copy_serves_while_postgres_is_away(clock):
    postgres = Postgres(Account("west"))
    accounts = copy_of(postgres, clock)
    accounts.find("acme", "west")
    postgres.away = True
    for _ in range(100):
        clock.now += 0.5
        assert accounts.find("acme", "west").name == "west"
    assert postgres.asked <= 1 + 50 / 5 + 1, "it is asked again and again, but not at each delivery"


def test_without_any_copy_nothing_is_refused_for_good(clock):
    postgres = Postgres(Account("west"))
    postgres.away = True
    accounts = copy_of(postgres, clock)
    for _ in range(10):
        with pytest.raises(NotLanded):
            accounts.find("acme", "west")
    assert postgres.asked == 1, "each of these would wait for a timeout"
    postgres.away = False
    clock.now += 1.1
    assert accounts.find("acme", "west").name == "west"


def test_an_account_that_does_not_open_is_our_fault_not_the_senders(clock):
    accounts = Accounts(lambda: {"acme": {"west": None, "east": Account("east")}}, clock)
    with pytest.raises(NotLanded):
        accounts.find("acme", "west")
    assert accounts.find("acme", "east").name == "east"


def test_nobody_waits_while_another_thread_reads(clock):
    reading, go_on = threading.Event(), threading.Event()
    postgres = Postgres(Account("west"))
    accounts = copy_of(postgres, clock)
    accounts.find("acme", "west")

    def slow():
        reading.set()
        assert go_on.wait(10)
        return {"acme": {"west": Account("west")}}

    accounts._load = slow
    clock.now += 10
    reader = threading.Thread(target=accounts.find, args=["acme", "west"])
    reader.start()
    assert reading.wait(10)
    assert accounts.find("acme", "west").name == "west"
    go_on.set()
    reader.join(10)


def test_nobody_refuses_by_an_old_copy_while_a_new_one_is_being_read(clock):
    """The account was added since the last look, and another thread is just reading it."""
    postgres = Postgres(Account("west"))
    accounts = copy_of(postgres, clock)
    accounts.find("acme", "west")
    clock.now += 60
    postgres.accounts = (Account("west"), Account("east"))
    reading, go_on = threading.Event(), threading.Event()

    def slowly():
        reading.set()
        go_on.wait(10)
        return Postgres.__call__(postgres)

    accounts._load = slowly
    first = threading.Thread(target=accounts.find, args=("acme", "west"))
    first.start()
    reading.wait(10)
    found = []
    second = threading.Thread(target=lambda: found.append(accounts.find("acme", "east").name))
    second.start()
    second.join(0.1)
    assert second.is_alive()  # it waits, rather than to answer that there is no such account
    go_on.set()
    first.join()
    second.join()
    assert found == ["east"]
    assert postgres.asked == 2
