"""How a time range is asked for, and how it is walked by time of change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Window:
    """A half-open range of time, aware UTC: since ≤ t < until."""

    since: datetime
    until: datetime


#: (window, the account's zone) → the two texts that the provider wants. They may ask for more than the window, never
#: for less: a call that is read twice is harmless.
Bounds = Callable[[Window, ZoneInfo], tuple[str, str]]

#: No provider's docs say whether a bound itself is inside. Each range begins a little earlier than it must, so that no
#: call falls between two slices where it is not.
_TICK = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
#: clocks go back by an hour almost everywhere, and nowhere by more than this
_BACK = timedelta(hours=3)


def rfc3339(window: Window, zone: ZoneInfo) -> tuple[str, str]:  # noqa: ARG001 - a form that all bounds share
    """`2026-03-01T14:00:00.000000Z`, whatever the account's zone."""
    return _z(window.since - _TICK), _z(window.until)


def rfc3339_seconds(window: Window, zone: ZoneInfo) -> tuple[str, str]:  # noqa: ARG001
    """`2026-03-01T14:00:00Z`: whole seconds that cover the window, whatever the account's zone."""
    since, until = window.since.astimezone(UTC) - _SECOND, window.until.astimezone(UTC) + _SECOND
    return f"{since:%Y-%m-%dT%H:%M:%SZ}", f"{until:%Y-%m-%dT%H:%M:%SZ}"


def _z(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def local_seconds(window: Window, zone: ZoneInfo) -> tuple[str, str]:
    """`2026-03-01 09:00:00` in the account's zone, for providers whose times are local and unlabelled.

    When clocks go back, an hour of local time happens twice and the provider cannot tell the two apart. The range is
    then asked for wider, by that hour, so that no call falls between two slices.
    """
    since, until = _widened(window, zone)
    return f"{since - _SECOND:%Y-%m-%d %H:%M:%S}", f"{until + _SECOND:%Y-%m-%d %H:%M:%S}"


def spaced_seconds(window: Window, zone: ZoneInfo) -> tuple[str, str]:  # noqa: ARG001 - a form that all bounds share
    """`2026-03-01 14:00:00 +0000`, whole seconds that cover the window, whatever the account's zone."""
    since, until = window.since.astimezone(UTC) - _SECOND, window.until.astimezone(UTC) + _SECOND
    return f"{since:%Y-%m-%d %H:%M:%S %z}", f"{until:%Y-%m-%d %H:%M:%S %z}"


def local_days(window: Window, zone: ZoneInfo) -> tuple[str, str]:
    """`2026-03-01` in the account's zone, both days included."""
    since, until = _widened(window, zone)
    return f"{since:%Y-%m-%d}", f"{until - timedelta.resolution:%Y-%m-%d}"


def _widened(window: Window, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The range on the account's wall clock, without zone, covering every reading of its times."""
    ahead = _offset(window.since, zone) - _offset(window.since + _BACK, zone)
    behind = _offset(window.until - _BACK, zone) - _offset(window.until, zone)
    none = timedelta()
    return _wall(window.since, zone) - max(none, ahead), _wall(window.until, zone) + max(none, behind)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


@dataclass(frozen=True)
class TimeFilter:
    """Two parameters that select calls by their time, and whatever fixes the order meanwhile.

    Ordered oldest first a range that ends in the past does not shift while it is read.
    """

    since: str
    until: str
    bounds: Bounds = rfc3339
    extra: Mapping[str, Any] = field(default_factory=dict)

    def params(self, window: Window, zone: ZoneInfo) -> dict[str, Any]:
        since, until = self.bounds(window, zone)
        return {self.since: since, self.until: until, **self.extra}


@dataclass(frozen=True)
class NewestChangeFirst:
    """For providers that can sort by time of change but not filter by it: read newest first, stop at the known.

    A call that changes meanwhile moves to the front, and everything before it shifts by one: seen twice, never missed.
    """

    extra: Mapping[str, str]
    #: the field of a (bare) record that says when it last changed
    changed: str
