import pytest

from calltrack.client.budget import Lane, Limit
from calltrack.errors import FixConfiguration


@pytest.mark.parametrize(
    ("text", "period", "count"),
    [
        ("100/minute", 60, 100),
        ("10/second", 1, 10),
        ("1/hour", 3600, 1),
        ("5000/day", 86_400, 5000),
        (" 5 / Minutes ", 60, 5),
    ],
)
def test_a_limit_is_read(text, period, count):
    assert Limit.parse(text) == Limit(period=period, count=count)


@pytest.mark.parametrize(
    "text", ["", "100", "0/minute", "-1/minute", "1.5/second", "10/week", "ten/minute", "1/minute/2"]
)
def test_a_limit_that_cannot_be_read_says_how_to_write_it(text):
    with pytest.raises(FixConfiguration, match="is written like 100/minute") as caught:
        Limit.parse(text)
    assert repr(text) in caught.value.message


def test_a_limit_prints_as_it_is_written():
    assert str(Limit.parse("100/minute")) == "100/minute"


@pytest.mark.parametrize("text", ["1/second", "10/second", "100/minute", "100000/minute", "1/minute"])
def test_a_paced_limit_keeps_its_promise_by_its_numbers(text):
    """Fewer than period / interval + lead + 1 requests fit in a period: no more than the limit."""
    limit = Limit.parse(text)
    assert limit.period / limit.interval + limit.reserve <= limit.count
    assert limit.period / limit.interval >= 0.87 * limit.count


def test_each_lane_may_go_less_far_ahead_than_the_one_before():
    leads = [Limit.parse("100/minute").terms(lane)[3] for lane in Lane]
    assert leads == sorted(leads, reverse=True)
    assert leads[-1] > 0


@pytest.mark.parametrize("lane", Lane)
def test_a_counted_limit_of_one_lets_every_lane_through(lane):
    assert Limit.parse("1/day").terms(lane)[3] == 1
