from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from calltrack.accounts import next_daily

TWO = time(2)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (datetime(2026, 3, 1, 1, 59, tzinfo=UTC), datetime(2026, 3, 1, 2, tzinfo=UTC)),
        (datetime(2026, 3, 1, 2, 0, tzinfo=UTC), datetime(2026, 3, 2, 2, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, 2, tzinfo=UTC)),
        # It is the first of March in Tokyo, but the last of February in UTC.
        (datetime(2026, 3, 1, 3, tzinfo=timezone(timedelta(hours=9))), datetime(2026, 3, 1, 2, tzinfo=UTC)),
        (datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=9))), datetime(2026, 3, 2, 2, tzinfo=UTC)),
    ],
)
def test_the_next_full_sync_is_at_the_next_two_o_clock_utc(now, due):
    assert next_daily(TWO, now) == due
