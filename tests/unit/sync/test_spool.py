"""The spool by itself: what is kept comes back whole, once, in order, whatever happens in between."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from psycopg import IntegrityError, OperationalError

from calltrack.sync.inbox import Delivery
from calltrack.sync.spool import Spool, SpoolFull


def delivery(body=b'{"n": 1}', **values):
    return Delivery(
        account_id=uuid4(),
        provider="acme",
        event_type="e",
        content_type="text/json",
        query="a=%FF",
        body=body,
        **values,
    )


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool", 10_000)


def test_what_is_kept_comes_back_whole_and_in_order(spool):
    kept = [
        delivery(bytes(range(256)), headers={"User-Agent": "ü"}, signature="abc", verified=True),
        delivery(b""),
    ]
    for one in kept:
        assert spool.keep(one).startswith("spool-")
    back = []
    assert spool.drain(back.append) == {"acme"}
    assert [(one.body, one.query, one.headers, one.signature, one.verified, one.account_id) for one in back] == [
        (one.body, one.query, one.headers, one.signature, one.verified, one.account_id) for one in kept
    ]
    assert all(one.received_at.tzinfo for one in back)
    assert len(spool) == 0
    assert spool.drain(back.append) == set()


def test_the_moment_of_receipt_stays(spool):
    at = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    spool.keep(delivery(received_at=at))
    back = []
    spool.drain(back.append)
    assert back[0].received_at == at


def test_nothing_is_dropped_while_it_cannot_be_landed(spool):
    spool.keep(delivery())

    def away(_):
        raise OperationalError

    with pytest.raises(OperationalError):
        spool.drain(away)
    assert len(spool) == 1


def test_one_that_nobody_can_land_or_read_holds_up_none(spool, tmp_path):
    spool.keep(delivery(b"orphan"))
    spool.keep(delivery(b"fine"))
    (tmp_path / "spool" / "0.delivery").write_bytes(b"{cut off")
    landed = []

    def land(one):
        if one.body == b"orphan":
            raise IntegrityError
        landed.append(one.body)

    spool.drain(land)
    assert landed == [b"fine"]
    assert len(list((tmp_path / "spool" / "set-aside").iterdir())) == 2


def kept(spool, tmp_path):
    """The file of one delivery."""
    spool.keep(delivery())
    (path,) = (tmp_path / "spool").glob("*.delivery")
    return path.read_bytes()


def test_it_takes_no_more_than_its_limit(tmp_path):
    spool = Spool(tmp_path / "spool", 1000)
    room = 1000 // len(kept(spool, tmp_path))
    for _ in range(room - 1):
        spool.keep(delivery())
    with pytest.raises(SpoolFull):
        spool.keep(delivery())
    another = Spool(tmp_path / "spool", 1000)  # of another process
    with pytest.raises(SpoolFull):
        another.keep(delivery(b"x" * 600))
    spool.drain(lambda _: None)
    spool.keep(delivery())


def test_only_one_drains_at_a_time(spool, tmp_path):
    spool.keep(delivery())
    other, seen = Spool(tmp_path / "spool", 10_000), []

    def land(_):
        seen.append(other.drain(lambda _: pytest.fail("landed twice")))

    spool.drain(land)
    assert seen == [set()]


def test_a_file_that_was_not_finished_is_not_read(spool, tmp_path):
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "1.new").write_bytes(b"{")
    assert spool.drain(lambda _: pytest.fail("read")) == set()
